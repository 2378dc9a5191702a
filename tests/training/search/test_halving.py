"""training/search/halving.py: who is cut, after a restart too."""

from typing import Any

import pytest

from tests.training.search.outcomes import outcome
from tests.training.search.searches import require_ray
from training.search.outcome import Status
from training.search.settings import SearchSettings
from training.search.trial import NETWORK, TRIAL

pytestmark = pytest.mark.slow

PAST = [
    outcome("good", [0.8] * 20),
    outcome("better", [0.9] * 20),
    outcome("cut", [0.1] * 5, status=Status.CUT),
]


class Trial:
    def __init__(self, trial_id: str) -> None:
        self.trial_id = trial_id
        self.config = {TRIAL: {NETWORK: trial_id}}


def cut_at(scheduler: Any, name: str, accuracy: float) -> int | None:
    """The epoch of 20 at which a network of this accuracy is stopped; None at the end."""
    trial = Trial(name)
    scheduler.on_trial_add(None, trial)
    for epoch in range(1, 21):
        if scheduler.on_trial_result(None, trial, {"epoch": epoch, "validation_accuracy": accuracy}) == "STOP":
            return epoch if epoch < 20 else None
    return None


@pytest.fixture(scope="module", autouse=True)
def _ray() -> None:
    require_ray()


def test_a_new_scheduler_compares_at_epochs_5_and_10() -> None:
    """The first is cut by none, a better one goes on, one in the lower half ends at the first comparison."""
    from training.search.halving import scheduler

    asha = scheduler(SearchSettings(), [])
    assert cut_at(asha, "first", 0.5) is None
    assert cut_at(asha, "better", 0.6) is None
    assert cut_at(asha, "worse", 0.4) == 5


def test_after_a_restart_the_past_still_counts() -> None:
    """A newcomer is compared with those that were trained before the interruption, cut ones too."""
    from training.search.halving import scheduler

    assert cut_at(scheduler(SearchSettings(), PAST), "bad", 0.2) == 5
    assert cut_at(scheduler(SearchSettings(), PAST), "so so", 0.82) == 10
    assert cut_at(scheduler(SearchSettings(), PAST), "best", 0.95) is None


def test_a_grace_of_all_epochs_cuts_none() -> None:
    """So a search without cuts is a search with --grace-epochs at --epochs, or above."""
    from training.search.halving import scheduler

    for grace in (20, 500):
        assert cut_at(scheduler(SearchSettings(grace_epochs=grace), PAST), "bad", 0.01) is None


def test_the_named_networks_are_never_cut() -> None:
    """So that they stand in every table with all their epochs, and the others are compared with them."""
    from training.search.halving import scheduler

    asha = scheduler(SearchSettings(), PAST)
    assert cut_at(asha, "26", 0.01) is None
    assert cut_at(asha, "28", 0.01) is None
    assert cut_at(asha, "worse", 0.005) == 5
