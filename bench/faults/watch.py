"""Memory and file descriptors of a process and all that it started, and when both have come to rest."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.offered import resident_mib
from bench.process_tree import members, parse_stat

_PAUSE_SECONDS: Final = 0.1
_SAMPLE_SECONDS: Final = 0.5
_NUM_STILL: Final = 5
_MIB_STILL: Final = 0.5
_PATIENCE_SECONDS: Final = 15.0


@dataclass(frozen=True)
class Usage:
    mib: float
    """Resident; pages that several processes share count in each of them."""
    num_descriptors: int


def usage(root: int) -> Usage:
    tree = _pids(root)
    return Usage(sum(resident_mib(pid) for pid in tree), sum(map(_num_descriptors, tree)))


def settled(root: int, is_right: Callable[[Usage], bool] = lambda _: True) -> Usage:
    """The least of both once they fall no more and are right, or when patience ends.

    What clients left behind takes the server a moment to notice, some of it in the middle of a decoding.
    """
    lowest, num_still, give_up = usage(root), 0, time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < give_up and (num_still < _NUM_STILL or not is_right(lowest)):
        time.sleep(_PAUSE_SECONDS)
        now = usage(root)
        is_lower = now.mib < lowest.mib - _MIB_STILL or now.num_descriptors < lowest.num_descriptors
        num_still = 0 if is_lower else num_still + 1
        lowest = Usage(min(lowest.mib, now.mib), min(lowest.num_descriptors, now.num_descriptors))
    return lowest


@contextlib.contextmanager
def sampled_mib(root: int) -> Iterator[list[float]]:
    """The resident memory of the tree, twice a second; complete on the way out."""
    samples, is_over = [usage(root).mib], threading.Event()

    def sample() -> None:
        while not is_over.wait(_SAMPLE_SECONDS):
            samples.append(usage(root).mib)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        is_over.set()
        thread.join()


def growth_mib(samples: Sequence[float]) -> float:
    """The least of the last quarter over the least of the second: what stays, since decoded images come and go.

    The first quarter warms up. Memory is flat where this is small against what the number of requests would leave if
    each of them left a little.
    """
    quarter = max(1, len(samples) // 4)
    return min(samples[-quarter:]) - min(samples[quarter : 2 * quarter] or samples)


def _pids(root: int) -> list[int]:
    processes = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # ended meanwhile
            processes.append(parse_stat(stat.read_text()))
    return [process.pid for process in members(processes, root)]


def _num_descriptors(pid: int) -> int:
    """0 where the process is gone."""
    with contextlib.suppress(OSError):
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return 0
