"""Asynchronous successive halving by Ray Tune's ASHA: who is behind at a comparison is cut there.

Compared is at --grace-epochs and at --reduction times as many, again and again: at epochs 5 and 10 of 20. A network is
cut where its validation accuracy is not among the upper part, one in --reduction, of those that were there before it;
so it waits for no other, and the first one is cut by none. The named networks are never cut: everybody is compared with
them, and the first ones would else be cut by a single other one. Why not the synchronous kind: it stops and restarts
trainings, which then need checkpoints that every node can read.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from ray.tune.schedulers import ASHAScheduler

from training.search.outcome import Outcome
from training.search.settings import SearchSettings
from training.search.space import NAMED
from training.search.trial import NETWORK, TRIAL

METRIC: Final = "validation_accuracy"
TIME: Final = "epoch"
"""Both are fields of an EpochRecord."""


@dataclass(frozen=True)
class _PastTrial:
    """As much of a trial as the scheduler looks at."""

    trial_id: str

    @property
    def config(self) -> dict[str, Any]:
        return {TRIAL: {NETWORK: self.trial_id}}


class _Halving(ASHAScheduler):  # type: ignore[misc]  # Ray is untyped here
    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        action: str = super().on_trial_result(tune_controller, trial, result)
        is_cut = action == self.STOP and result[TIME] < self._max_t
        return self.CONTINUE if is_cut and trial.config[TRIAL][NETWORK] in NAMED else action


def scheduler(settings: SearchSettings, past: Iterable[Outcome]) -> Any:
    """A new scheduler that has seen the curves of these trials: whoever comes after a restart is compared with them."""
    asha = _Halving(
        time_attr=TIME,
        metric=METRIC,
        mode="max",
        max_t=settings.epochs,
        grace_period=min(settings.grace_epochs, settings.epochs),
        reduction_factor=settings.reduction,
    )
    for outcome in past:
        trial = _PastTrial(outcome.candidate.name)
        asha.on_trial_add(None, trial)
        for record in outcome.curve:
            asha.on_trial_result(None, trial, {TIME: record.epoch, METRIC: record.validation_accuracy})
    return asha
