"""The settings of a search: those of each of its trainings, and how many there are, how large and how they are cut."""

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any, Final

from cnnsvc.options import setting
from training.settings import TrainSettings

_NOT_SEARCHED: Final = {"model", "arch", "patience", "smoothing", "calibrate", "accept_share", "export_dead", "resume"}
"""Fields of a training that a search decides itself, or that say what follows one: every network trains to its end or
is cut by comparison, its best epoch is the one of its curve, and none is exported."""

OF_THE_MACHINE: Final = ("cpus_per_trial", "gpus_per_trial", "cache_limit_mib")
"""Fields that may be others when a search is resumed."""


@dataclass(frozen=True)
class SearchSettings(TrainSettings):
    """Checked when made. Raises SettingError for a value out of its range."""

    networks: Annotated[int, setting("Networks to try, 26 and 28 among them.", min=2, max=10_000)] = 28
    max_start_filters: Annotated[
        int, setting("Most filters of a first group: 8 or 16 for simple images, 64 for complex ones.", min=8, max=64)
    ] = 64
    max_parameters: Annotated[int, setting("Largest network to try, in parameters.", min=1000, max=1_000_000_000)] = (
        2_000_000
    )
    grace_epochs: Annotated[
        int,
        setting("Epochs before a network may be cut, if it has more of them; --epochs = no cuts.", min=1, max=10_000),
    ] = 5
    reduction: Annotated[
        int, setting("At each comparison one in so many goes on, and epochs grow by as much.", min=2, max=10)
    ] = 2
    cpus_per_trial: Annotated[int, setting("CPUs of one training.", min=1, max=1024)] = 1
    gpus_per_trial: Annotated[
        float | None, setting("GPUs of one training; one where there are any if not given.", min=0, max=64)
    ] = None


def recipe(settings: SearchSettings) -> TrainSettings:
    """What one training of the search trains by."""
    return TrainSettings(**{field.name: getattr(settings, field.name) for field in dataclasses.fields(TrainSettings)})


def changed(settings: TrainSettings) -> dict[str, Any]:
    """The fields that are not at their defaults, by name."""
    return {
        field.name: value
        for field in dataclasses.fields(settings)
        if (value := getattr(settings, field.name)) != field.default
    }


SEARCHED: Final = [field.name for field in dataclasses.fields(SearchSettings) if field.name not in _NOT_SEARCHED]
"""Fields that are flags of `cnnsvc search`."""
