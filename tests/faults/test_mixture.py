"""What the callers of a mixed load make of an outcome."""

import pytest

from bench.faults.mixture import UNEXPECTED, ExpectingCaller, make_mixture
from cnnsvc.classification import Timings
from cnnsvc.load.call import Answer, Failure, Outcome

ANSWER = Answer("flowers", 1, Timings(1, 1, 1, 3))
INVALID = Failure("400", "invalid", "not an image")


class OneOutcome:
    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome

    async def ask(self, place: int) -> Outcome:
        return self.outcome

    async def close(self) -> None:
        pass


def test_the_mixture_has_good_and_bad_in_an_odd_number() -> None:
    """Where two doors take turns, every image comes over both."""
    mixture = make_mixture()
    assert len(mixture.images) % 2 == 1
    assert len(mixture.images) == len(mixture.kinds)
    assert {"ok", "invalid", "too_large"} == set(mixture.kinds)


@pytest.mark.parametrize(("outcome", "place"), [(ANSWER, 0), (INVALID, 1)])
async def test_what_is_expected_stays(outcome: Outcome, place: int) -> None:
    """An answer to a good image and a refusal of a bad one are told as they are."""
    assert await ExpectingCaller(OneOutcome(outcome), ["ok", "invalid"]).ask(place) is outcome


@pytest.mark.parametrize(("outcome", "place"), [(ANSWER, 1), (INVALID, 0), (Failure("429", "overloaded", "?"), 1)])
async def test_all_else_is_unexpected(outcome: Outcome, place: int) -> None:
    """An answer to a bad image, a refusal of a good one, and one of another kind."""
    found = await ExpectingCaller(OneOutcome(outcome), ["ok", "invalid"]).ask(place)
    assert isinstance(found, Failure)
    assert found.kind == UNEXPECTED
    assert str(outcome) in found.message
