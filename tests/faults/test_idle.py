"""Idle and slow connections; `python -m bench.faults.idle` is the long form."""

import pytest

from bench.faults.idle import Bounds, problems, run

pytestmark = pytest.mark.slow


def test_others_are_served_and_descriptors_freed() -> None:
    """Beside hundreds of them good calls over both doors are answered right, and nothing of them is left.

    A machine that also runs other tests says nothing about percentiles.
    """
    found = run(None, seconds=3, num_idle=200, num_slow=40)
    assert list(problems(found, Bounds(least_p99_ms=10_000))) == []
    assert len(found.beside.asked) > 50
