"""Runs the trials of a search through Ray Tune and writes what happens into the journal."""

import dataclasses
import logging
import tempfile
from collections.abc import Callable
from typing import Any, Final

from ray import tune

from cnnsvc.errors import CnnsvcError, InternalError
from training.search.halving import scheduler
from training.search.journal import Journal
from training.search.outcome import Candidate, Outcome, Status
from training.search.settings import SearchSettings, recipe
from training.search.trial import NETWORK, NOTATION, TRIAL, TrialData, run_trial
from training.trained import EpochRecord

OnChange = Callable[[Outcome], None]

_RECORD_FIELDS: Final = [field.name for field in dataclasses.fields(EpochRecord)]


def run_trials(
    journal: Journal, data: TrialData, settings: SearchSettings, resources: dict[str, float], on_change: OnChange
) -> None:
    """Trains every network of the journal that has no end yet; inside a Ray session.

    Raises InternalError where one has none afterwards.
    """
    waiting = journal.waiting()
    past = [one for one in journal.outcomes.values() if one.status in (Status.FINISHED, Status.CUT)]
    trainable = tune.with_parameters(run_trial, data=data, settings=recipe(settings), num_cpus=settings.cpus_per_trial)
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    # What Tune itself keeps is not needed: the journal has it all.
    with tempfile.TemporaryDirectory(prefix="tune-", ignore_cleanup_errors=True) as folder:
        tune.Tuner(
            tune.with_resources(trainable, resources),
            param_space={TRIAL: tune.grid_search([_config(candidate) for candidate in waiting])},
            tune_config=tune.TuneConfig(scheduler=scheduler(settings, past)),
            run_config=tune.RunConfig(
                name="search", storage_path=folder, callbacks=[_Keeper(journal, settings.epochs, on_change)], verbose=0
            ),
        ).fit()
    if left := journal.waiting():
        raise InternalError(f"{len(left)} networks did not come to an end, {left[0].name} first; try --resume")


def _config(candidate: Candidate) -> dict[str, Any]:
    return {NETWORK: candidate.name, NOTATION: candidate.notation}


def _name(trial: Any) -> str:
    name: str = trial.config[TRIAL][NETWORK]
    return name


class _Keeper(tune.Callback):  # type: ignore[misc]  # Ray is untyped here
    """Tune tells it of every trial's beginning, epochs and end."""

    def __init__(self, journal: Journal, num_epochs: int, on_change: OnChange) -> None:
        self._journal = journal
        self._num_epochs = num_epochs
        self._on_change = on_change

    def __getstate__(self) -> dict[str, Any]:
        """Empty: Tune stores it for a restart of its own, which the journal makes needless."""
        return {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._journal.begin(_name(trial))
        self._changed(trial)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        record = EpochRecord(**{name: result[name] for name in _RECORD_FIELDS})
        self._journal.epoch(_name(trial), record, result["node"])
        self._changed(trial)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        name = _name(trial)
        has_all = len(self._journal.outcomes[name].curve) >= self._num_epochs
        self._journal.end(name, Status.FINISHED if has_all else Status.CUT)
        self._changed(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        error = trial.get_pickled_error()
        cause = getattr(error, "cause", error)
        reason = next((line for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
        # What we say ourselves comes again; a process that was killed, a node that went away need not.
        self._journal.end(_name(trial), Status.FAILED, reason, is_repeated=not isinstance(cause, CnnsvcError))
        self._changed(trial)

    def _changed(self, trial: Any) -> None:
        self._on_change(self._journal.outcomes[_name(trial)])
