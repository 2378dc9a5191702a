"""The overload of `python -m bench.overload`: what is a problem, and its short form against a real server."""

from dataclasses import replace

import pytest

from bench.offered import Asked, Offered
from bench.overload import Bounds, Found, problems, run, table
from bench.refusals import run as run_refusals
from cnnsvc.classification import Timings
from cnnsvc.load.call import Answer, Failure

ANSWER = Answer("flowers", 1, Timings(1, 1, 1, 3))
OVERLOADED = Failure("429", "overloaded", "much waits")
LATE = Failure("504", "late", "the deadline passed")


def offered(*asked: tuple[Answer | Failure, float]) -> Offered:
    """In one second, each with its milliseconds."""
    return Offered(1.0, [Asked(10, 10 + milliseconds / 1000, outcome) for outcome, milliseconds in asked])


CLOSED = offered(*[(ANSWER, 30)] * 100)
GOOD = Found(
    closed=(CLOSED, CLOSED),
    open=offered(*[(ANSWER, 400)] * 95, *[(OVERLOADED, 2)] * 400),
    rate_per_second=500,
    deadline_ms=500,
    before_mib=100,
    peak_mib=150,
    faults=[],
)


def test_what_is_good_has_no_problem() -> None:
    """Every figure within its bounds; the table has a row a load."""
    assert problems(GOOD, Bounds()) == []
    assert table(GOOD).count("\n| ") == 3


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (replace(GOOD, open=offered(*[(ANSWER, 400)] * 95, *[(LATE, 501)] * 2)), "p99 of the accepted is 501 ms"),
        (replace(GOOD, open=offered(*[(ANSWER, 400)] * 95, *[(OVERLOADED, 12)] * 9)), "p50 of the refusals is 12.0 ms"),
        (replace(GOOD, open=offered(*[(ANSWER, 400)] * 89)), "89.0 images/s were answered; 90% of 100.0"),
        (replace(GOOD, peak_mib=400), "grew from 100 to 400 MiB"),
        (replace(GOOD, faults=["the server ended with -9"]), "ended with -9"),
        (
            replace(GOOD, open=offered(*[(ANSWER, 1)] * 99, (Failure("500", "internal", "?"), 1))),
            "kind 'internal' came",
        ),
    ],
)
def test_each_figure_missed_is_a_problem(found: Found, problem: str) -> None:
    """One that is missed is one problem, which says what was found and what is allowed."""
    (only,) = problems(found, Bounds())
    assert problem in only


@pytest.mark.slow
def test_five_times_too_much_is_refused_quickly() -> None:
    """A real server answers what it can and refuses the rest, within bounds for a busy machine."""
    found = run(None, "2000x1500", seconds=4, deadline_ms=1000)
    loose = Bounds(accepted_share=0.4, refusal_p50_ms=200, growth_mib=300)
    assert problems(replace(found, deadline_ms=1500), loose) == []
    assert len(found.open.refused) > len(found.open.of("ok"))


@pytest.mark.slow
def test_a_server_without_room_refuses_every_call() -> None:
    """While a body that never ends holds all bytes, every call over HTTP and gRPC is refused."""
    for _, _, load in run_refusals(["180x180"], seconds=0.5):
        assert load.refused
        assert len(load.refused) == len(load.asked)
