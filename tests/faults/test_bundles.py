"""Bad bundles beside a good one, and a folder that goes away, under load."""

import os

import pytest

from bench.faults.bundles import cases, run

pytestmark = pytest.mark.slow


def test_every_fault_is_refused_and_shown() -> None:
    """No call fails while each bad version comes and the folder goes; each reason is shown everywhere."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount and unmount a file system")
    rows, num_answered, failures = run(None, away_seconds=1)
    assert failures == []
    assert [(row.name, row.problems) for row in rows if row.problems] == []
    assert len(rows) == len(cases()) + 3
    assert num_answered > 100
