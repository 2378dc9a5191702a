"""When the requests of a load start: each as soon as the one before it is answered, or by the clock."""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

Clock = Callable[[], float]
"""Seconds, monotonic."""


@dataclass(frozen=True)
class Plan:
    """One load. Without a rate, `concurrency` requests are always under way; with one, at most so many are."""

    concurrency: int
    duration_seconds: float
    warm_up_seconds: float = 0.0
    max_requests: int | None = None
    """Of those that count, started after the warm-up."""
    rate_per_second: float | None = None


@dataclass(frozen=True)
class Window:
    """What counts: requests that were to start between its ends, in seconds of the clock."""

    warm_up_begins: float
    begins: float
    ends: float


class Schedule(Protocol):
    """Shared by every task of a load."""

    num_unsent: int
    """Requests of the window that no task came to before its end: all were waiting for answers."""

    async def next_start(self) -> float | None:
        """When the next request starts, or was to start, from which its latency counts; None at the end."""
        ...

    def close(self) -> None: ...


def window_of(plan: Plan, now: float) -> Window:
    begins = now + plan.warm_up_seconds
    return Window(now, begins, begins + plan.duration_seconds)


def start_times(plan: Plan, window: Window) -> Iterator[float]:
    """When each request of a load with a rate is to start: evenly spaced through warm-up and duration."""
    assert plan.rate_per_second is not None
    num_warming = _num_starts(plan.warm_up_seconds * plan.rate_per_second)
    num_counting = _num_starts(plan.duration_seconds * plan.rate_per_second)
    if plan.max_requests is not None:
        num_counting = min(num_counting, plan.max_requests)
    for index in range(num_warming):
        yield window.warm_up_begins + index / plan.rate_per_second
    for index in range(num_counting):
        yield window.begins + index / plan.rate_per_second


def _num_starts(intervals: float) -> int:
    """The first at the beginning; 0.7 s of 10 a second are 7, and in floats a little more."""
    return math.ceil(intervals - 1e-6)


class ClosedLoop:
    """The next request starts when its task asks for it."""

    def __init__(self, plan: Plan, window: Window, clock: Clock) -> None:
        self.num_unsent = 0
        self._window = window
        self._num_left = plan.max_requests
        self._clock = clock

    async def next_start(self) -> float | None:
        now = self._clock()
        if now >= self._window.ends or self._num_left == 0:
            return None
        if self._num_left is not None and now >= self._window.begins:
            self._num_left -= 1
        return now

    def close(self) -> None:
        pass


class OpenLoop:
    """Requests start by the clock, however slow the answers are; one that must wait for a task keeps its start time.

    A thread keeps the time, since event loops wake up by whole milliseconds.
    """

    def __init__(self, plan: Plan, window: Window, clock: Clock) -> None:
        self.num_unsent = 0
        self._plan = plan
        self._window = window
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._due: asyncio.Queue[float | None] = asyncio.Queue()
        self._is_closed = threading.Event()
        self._thread: Final = threading.Thread(target=self._keep_time, name="load-clock")
        self._thread.start()

    async def next_start(self) -> float | None:
        while (start := await self._due.get()) is not None:
            now = self._clock()
            if now >= self._window.ends:
                self.num_unsent += start >= self._window.begins
            elif start >= self._window.begins or now < self._window.begins:
                return start  # what the warm-up left over would only delay those that count
        self._due.put_nowait(None)  # for the other tasks
        return None

    def close(self) -> None:
        self._is_closed.set()
        self._thread.join()

    def _keep_time(self) -> None:
        for start in start_times(self._plan, self._window):
            if self._is_closed.wait(max(0.0, start - self._clock())):
                return
            self._loop.call_soon_threadsafe(self._due.put_nowait, start)
        self._loop.call_soon_threadsafe(self._due.put_nowait, None)


def schedule_of(plan: Plan, window: Window, clock: Clock = time.perf_counter) -> Schedule:
    """Starts at once. Needs a running event loop."""
    return (ClosedLoop if plan.rate_per_second is None else OpenLoop)(plan, window, clock)
