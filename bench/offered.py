"""Load on one server, every outcome kept with its times: `cnnsvc bench` keeps the times of answers only."""

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import uvloop

from bench.process_tree import cpu_seconds, machine_cpu_seconds
from cnnsvc.errors import Kind
from cnnsvc.load.call import Answer, Caller, Outcome
from cnnsvc.load.record import percentiles
from cnnsvc.load.schedule import Plan, schedule_of, window_of

_SAMPLE_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Asked:
    start: float
    """When it was to start, in seconds of time.perf_counter()."""
    end: float
    outcome: Outcome

    @property
    def milliseconds(self) -> float:
        return 1000 * (self.end - self.start)

    @property
    def kind(self) -> str:
        """ok, or why there is no result."""
        return "ok" if isinstance(self.outcome, Answer) else str(self.outcome.kind)


@dataclass
class Offered:
    """What came of one load; of those that were to start before the warm-up's end nothing is kept."""

    seconds: float
    asked: list[Asked] = field(default_factory=list)
    num_unsent: int = 0
    client_cpu_share: float = 0.0
    """Of one core, and so are the others."""
    server_cpu_share: float = 0.0
    other_cpu_share: float = 0.0
    """Of all other programs of the machine, and of what the kernel does for nobody in particular."""

    def of(self, *kinds: str) -> list[Asked]:
        return [each for each in self.asked if each.kind in kinds]

    @property
    def refused(self) -> list[Asked]:
        return self.of(Kind.OVERLOADED)

    @property
    def images_per_second(self) -> float:
        return len(self.of("ok")) / self.seconds


def offer(plan: Plan, make_callers: Callable[[], Sequence[Caller]], num_images: int, server_pid: int) -> Offered:
    """Every image in turn; `make_callers` is called in the event loop, and may give one caller many times."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_offer(plan, make_callers, num_images, server_pid))


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least so many are not above; 0 of none."""
    return percentiles(np.sort(np.array(values)), [percent])[0] if values else 0.0


@contextlib.contextmanager
def peak_resident_mib(pid: int) -> Iterator[list[float]]:
    """A list of one number: the most that the process has held since; it is final on the way out."""
    status, peak, is_over = Path(f"/proc/{pid}/status"), [resident_mib(pid)], threading.Event()

    def watch() -> None:
        while status.exists() and not is_over.wait(_SAMPLE_SECONDS):
            peak[0] = max(peak[0], resident_mib(pid))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        is_over.set()
        thread.join()


def resident_mib(pid: int) -> float:
    """0 where the process is gone."""
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024
    return 0.0


async def _offer(plan: Plan, make_callers: Callable[[], Sequence[Caller]], num_images: int, server_pid: int) -> Offered:
    offered, callers, places = Offered(plan.duration_seconds), make_callers(), itertools.cycle(range(num_images))
    window = window_of(plan, time.perf_counter())
    schedule = schedule_of(plan, window)

    async def ask(caller: Caller) -> None:
        while (start := await schedule.next_start()) is not None:
            outcome = await caller.ask(next(places))
            if start >= window.begins:
                offered.asked.append(Asked(start, time.perf_counter(), outcome))

    before = _clocks(server_pid)
    try:
        async with asyncio.TaskGroup() as group:
            for caller in callers:
                group.create_task(ask(caller))
    finally:
        schedule.close()
        for caller in dict.fromkeys(callers):
            await caller.close()
    wall, client, server, machine = (now - then for now, then in zip(_clocks(server_pid), before, strict=True))
    offered.client_cpu_share, offered.server_cpu_share = client / wall, server / wall
    offered.other_cpu_share = max(0.0, machine - client - server) / wall
    offered.num_unsent = schedule.num_unsent
    return offered


def _clocks(server_pid: int) -> tuple[float, float, float, float]:
    """Seconds: of the wall, and of CPU of this process, of the server and of the whole machine."""
    return time.perf_counter(), time.process_time(), cpu_seconds(server_pid), machine_cpu_seconds()
