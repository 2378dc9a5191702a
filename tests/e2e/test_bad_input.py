"""Every bad input, over HTTP and gRPC, a few times each; `python -m bench.bad_input` is the long form."""

import pytest

from bench.bad_input import run

pytestmark = pytest.mark.slow


def test_bad_input_is_refused_and_good_input_answered_meanwhile() -> None:
    """Each has its status and kind, none is an internal error, and valid requests between them are answered right.

    So few say nothing about memory, and a busy machine little about time: the long form measures both.
    """
    rows, good, problems = run(4, max_growth_mib=1000, good_seconds=30)
    assert not problems
    assert len(rows) > 60
    assert len(good.seconds) > 10
