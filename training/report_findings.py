"""What the report page says about a network in figures: its fitness, its confusions, its settings."""

import dataclasses
import typing
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from typer.models import OptionInfo

from cnnsvc.engines.base import Scores
from training.evaluate import Labels, accuracy, has_learned, majority_share
from training.intervals import wilson_interval
from training.settings import TrainSettings
from training.trained import Trained

WIDE_GAP: Final = 0.15
SMALL_GAP: Final = 0.05


@dataclass(frozen=True)
class Fitness:
    """Whether a network learned what it should, by the weights that were exported."""

    num_images: int
    num_right: int
    validation_accuracy: float
    training_accuracy: float
    """Of the chosen epoch while it trained: augmented images, dropout on, weights still moving."""
    majority_name: str
    majority_share: float
    has_learned: bool
    interval: tuple[float, float]
    """Where the validation accuracy lies with 95 % certainty, were the images drawn anew."""

    @property
    def gap(self) -> float:
        return self.training_accuracy - self.validation_accuracy


def fitness_of(trained: Trained, scores_nk: Scores) -> Fitness:
    """From float32 (N, K) scores of the validation split."""
    labels = trained.validation.labels
    chosen = next(record for record in trained.history if record.epoch == trained.best_epoch)
    found = accuracy(scores_nk, labels)
    return Fitness(
        num_images=len(labels),
        num_right=round(found * len(labels)),
        validation_accuracy=found,
        training_accuracy=chosen.training_accuracy,
        majority_name=trained.class_names[int(np.bincount(labels).argmax())],
        majority_share=majority_share(labels),
        has_learned=has_learned(found, labels),
        interval=wilson_interval(found, len(labels)),
    )


@dataclass(frozen=True)
class Confusion:
    """Images of one class that were given another."""

    true_name: str
    predicted_name: str
    num_images: int
    share: float
    """Of the images of the true class."""


def frequent_confusions(confusion_kk: NDArray[np.int64], class_names: list[str], most: int) -> list[Confusion]:
    """The off-diagonal cells with the most images."""
    wrong = confusion_kk - np.diag(np.diag(confusion_kk))
    cells = np.argsort(-wrong, axis=None, kind="stable")[:most]
    places = [divmod(cell, len(class_names)) for cell in cells.tolist()]
    return [
        Confusion(class_names[row], class_names[column], int(count), float(count / confusion_kk[row].sum()))
        for row, column in places
        if (count := wrong[row, column])
    ]


@dataclass(frozen=True)
class Setting:
    flag: str
    value: Any
    is_default: bool
    help: str
    """Empty for what this version does not know."""


def settings_of(recorded: dict[str, Any]) -> list[Setting]:
    """Every recorded setting, with its flag's line of help and whether it is the default."""
    hints = typing.get_type_hints(TrainSettings, include_extras=True)
    defaults = {field.name: field.default for field in dataclasses.fields(TrainSettings)}
    settings = []
    for name, value in recorded.items():
        option = typing.get_args(hints[name])[1] if name in hints else None
        text = (option.help or "") if isinstance(option, OptionInfo) else ""
        is_default = name in defaults and value == defaults[name]
        settings.append(Setting("--" + name.replace("_", "-"), value, is_default, text))
    return settings


@dataclass(frozen=True)
class ClassData:
    name: str
    num_files: int
    num_validation: int
    sha256: str


def class_data(recorded: dict[str, Any], class_names: list[str], labels: Labels) -> list[ClassData]:
    """One row a class of the recorded data; what was not recorded is 0 or empty."""
    counts = np.bincount(labels, minlength=len(class_names)).tolist()
    classes = recorded.get("classes", {})
    rows = zip(class_names, counts, (classes.get(name, {}) for name in class_names), strict=True)
    return [ClassData(name, one.get("num_files", 0), count, one.get("sha256", "")) for name, count, one in rows]
