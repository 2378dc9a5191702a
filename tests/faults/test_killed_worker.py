"""One of two workers is killed under load; `python -m bench.faults.killed_worker` is the long form."""

import pytest

from bench.faults.killed_worker import Bounds, problems, run

pytestmark = pytest.mark.slow


def test_only_its_own_calls_are_lost() -> None:
    """As many calls at most as it had connections, and a worker is back, on a busy machine not at once."""
    found = run(None, num_kills=2, rate=200, interval_seconds=3)
    assert list(problems(found, Bounds(back_seconds=20))) == []
    assert len(found.kills) == 2
    assert sum(kill.num_connections for kill in found.kills) > 12
