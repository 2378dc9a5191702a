"""What is known of each network of a search, and what its curve says: its best epoch, its stability."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from training.intervals import wilson_interval
from training.trained import EpochRecord

SETTLING_EPOCHS: Final = 3
"""Within these a validation accuracy may jump as it likes: the learning rate has just climbed to its height."""
BIG_DROP: Final = 0.10
"""The article dropped its network 27 for one big fall of the validation accuracy; its size is lost with the picture."""


class Status(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    CUT = "cut"
    FAILED = "failed"


@dataclass(frozen=True)
class Candidate:
    name: str
    notation: str
    num_parameters: int


@dataclass(frozen=True)
class Drop:
    """A fall of the validation accuracy from one epoch to the next."""

    epoch: int
    """The later one of the two."""
    before: float
    after: float

    @property
    def size(self) -> float:
        return self.before - self.after


@dataclass(frozen=True)
class Outcome:
    candidate: Candidate
    status: Status = Status.WAITING
    curve: tuple[EpochRecord, ...] = ()
    reason: str = ""
    """Of a failure."""
    node: str = ""
    """Where it trained, as Ray names it."""

    @property
    def best(self) -> EpochRecord | None:
        """By validation accuracy; of equals the one with the lower validation loss, then the earlier one: as `fit`."""
        return max(self.curve, key=lambda one: (one.validation_accuracy, -one.validation_loss), default=None)

    @property
    def drop(self) -> Drop | None:
        return largest_drop([record.validation_accuracy for record in self.curve])


def largest_drop(accuracies: Sequence[float], settling_epochs: int = SETTLING_EPOCHS) -> Drop | None:
    """The stability of a network: the largest fall of these, one an epoch, once it has settled.

    A size of 0 or less says that it never fell; None that there are no two epochs to compare.
    """
    pairs = list(enumerate(itertools.pairwise(accuracies), start=2))[settling_epochs - 1 :]
    drops = [Drop(epoch, before, after) for epoch, (before, after) in pairs]
    return max(drops, key=lambda drop: drop.size, default=None)


def is_unstable(drop: Drop | None, num_images: int) -> bool:
    """Whether a fall is big, and more than chance makes of so many validation images."""
    return drop is not None and drop.size > BIG_DROP and drop.after < wilson_interval(drop.before, num_images)[0]
