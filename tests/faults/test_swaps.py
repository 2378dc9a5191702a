"""Versions are swapped under load."""

import pytest

from bench.faults.swaps import Bounds, problems, run

pytestmark = pytest.mark.slow


def test_a_few_swaps() -> None:
    """No request fails, every version goes live, memory stays; of the times only that they are not those of a stop.

    A machine that also runs other tests says nothing about percentiles: `python -m bench.faults.swaps` does.
    """
    found = run(None, num_swaps=4, interval_seconds=4, load=0.3, capacity_seconds=10)
    assert problems(found, Bounds(p99_ratio=1000, memory_ratio=1.3)) == []
    assert len(found.swaps) == 4
    assert max(each.milliseconds for each in found.load.asked) < 5_000
