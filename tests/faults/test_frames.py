"""Malformed HTTP/2 on the gRPC port; `python -m bench.faults.frames` is the long form."""

import pytest

from bench.faults.frame_attacks import attacks
from bench.faults.frames import Bounds, problems, run

pytestmark = pytest.mark.slow


def test_good_calls_notice_nothing() -> None:
    """Every attack is survived, none is an internal error, and good calls over both doors are answered right meanwhile.

    A machine that also runs other tests says nothing about percentiles, and so few attacks little about memory.
    """
    found = run(None, seconds=3)
    assert list(problems(found, Bounds(least_p99_ms=10_000, growth_mib=100))) == []
    assert set(found.verdicts) == {attack.name for attack in attacks()}
    assert found.num_attacks >= len(attacks())
    told = {verdict for verdicts in found.verdicts.values() for verdict in verdicts}
    assert {"closed", "nothing"} < told
