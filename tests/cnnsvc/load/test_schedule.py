"""When the requests of a load start."""

import asyncio
import time

import pytest

from cnnsvc.load.schedule import ClosedLoop, OpenLoop, Plan, start_times, window_of


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_window_follows_the_warm_up() -> None:
    """What counts begins after the warm-up and is as long as asked for."""
    window = window_of(Plan(1, duration_seconds=10, warm_up_seconds=2), now=100)
    assert (window.warm_up_begins, window.begins, window.ends) == (100, 102, 112)


def test_offered_requests_are_evenly_spaced() -> None:
    """Through warm-up and duration, with one at the beginning of the window."""
    plan = Plan(1, duration_seconds=1, warm_up_seconds=0.5, rate_per_second=4)
    assert list(start_times(plan, window_of(plan, 100))) == [100, 100.25, 100.5, 100.75, 101, 101.25]


def test_no_request_is_offered_at_the_end() -> None:
    """0.7 s of 10 requests a second are 7, though floats make a little more of it."""
    plan = Plan(1, duration_seconds=0.7, rate_per_second=10)
    assert len(list(start_times(plan, window_of(plan, 100)))) == 7


def test_most_requests_are_of_those_that_count() -> None:
    """The warm-up takes nothing from --max-requests."""
    plan = Plan(1, duration_seconds=1, warm_up_seconds=0.5, max_requests=2, rate_per_second=4)
    assert list(start_times(plan, window_of(plan, 100))) == [100, 100.25, 100.5, 100.75]


async def test_a_closed_loop_starts_when_asked() -> None:
    """Now, until the duration is over."""
    clock = _Clock()
    plan = Plan(1, duration_seconds=10)
    schedule = ClosedLoop(plan, window_of(plan, clock()), clock)
    assert await schedule.next_start() == 100
    clock.now = 109.9
    assert await schedule.next_start() == 109.9
    clock.now = 110
    assert await schedule.next_start() is None


async def test_a_closed_loop_counts_after_the_warm_up() -> None:
    """So many requests of the window, and any number before it."""
    clock = _Clock()
    plan = Plan(1, duration_seconds=10, warm_up_seconds=1, max_requests=2)
    schedule = ClosedLoop(plan, window_of(plan, clock()), clock)
    assert [await schedule.next_start() for _ in range(3)] == [100, 100, 100]
    clock.now = 101
    assert [await schedule.next_start() for _ in range(3)] == [101, 101, None]


async def test_an_open_loop_keeps_the_time() -> None:
    """Requests start when they are to, within a few milliseconds, and every task sees the end."""
    plan = Plan(2, duration_seconds=0.2, rate_per_second=50)
    window = window_of(plan, time.perf_counter())
    schedule = OpenLoop(plan, window, time.perf_counter)
    try:
        late = []
        while (start := await schedule.next_start()) is not None:
            late.append(time.perf_counter() - start)
        assert await schedule.next_start() is None
    finally:
        schedule.close()
    assert len(late) + schedule.num_unsent == 10
    assert min(late) >= 0
    assert sorted(late)[len(late) // 2] < 0.1


async def test_an_open_loop_keeps_the_start_of_what_waits() -> None:
    """A task that comes late gets the time at which its request was to start: no coordinated omission."""
    plan = Plan(1, duration_seconds=30, rate_per_second=100)
    began = time.perf_counter()
    schedule = OpenLoop(plan, window_of(plan, began), time.perf_counter)
    try:
        await asyncio.sleep(0.1)
        starts = [await schedule.next_start() for _ in range(3)]
    finally:
        schedule.close()
    assert starts == pytest.approx([began, began + 0.01, began + 0.02])


async def test_what_an_open_loop_could_not_send_is_counted() -> None:
    """Requests of the window that wait when it ends are unsent; those that the warm-up left over are forgotten."""
    clock = _Clock()
    plan = Plan(1, duration_seconds=1, warm_up_seconds=1, rate_per_second=10)
    window = window_of(plan, clock())
    clock.now = window.begins + 0.95  # all are due but none was taken
    schedule = OpenLoop(plan, window, clock)
    try:
        assert await schedule.next_start() == window.begins
        clock.now = window.ends
        assert await schedule.next_start() is None
    finally:
        schedule.close()
    assert schedule.num_unsent == 9
