"""training/search/outcome.py: the best epoch of a curve and its stability."""

import dataclasses

import pytest

from tests.training.search.outcomes import curve, outcome
from training.search.outcome import Drop, Outcome, Status, is_unstable, largest_drop


def test_the_largest_fall_after_the_network_has_settled() -> None:
    """The first three epochs may jump; afterwards the largest fall counts, named by its later epoch."""
    assert largest_drop([0.1, 0.9, 0.2, 0.5, 0.45, 0.6, 0.3, 0.6]) == Drop(7, 0.6, 0.3)
    assert largest_drop([0.9, 0.1, 0.9, 0.8]) == Drop(4, 0.9, 0.8)
    assert largest_drop([0.9, 0.1], settling_epochs=1) == Drop(2, 0.9, 0.1)


@pytest.mark.parametrize("accuracies", [[], [0.5], [0.9, 0.1, 0.2]])
def test_too_few_epochs_say_nothing_of_stability(accuracies: list[float]) -> None:
    """A network that was cut before it settled is not called stable, nor unstable."""
    assert largest_drop(accuracies) is None
    assert not is_unstable(None, 100)


def test_a_network_that_only_rises_has_no_fall() -> None:
    """Its largest drop is not above 0."""
    drop = largest_drop([0.1, 0.2, 0.3, 0.4, 0.5])
    assert drop is not None
    assert drop.size < 0
    assert not is_unstable(drop, 10_000)


def test_unstable_is_big_and_beyond_chance() -> None:
    """Ten points are a limit on many images; on few, the fall must also leave the 95 % interval."""
    assert is_unstable(Drop(18, 0.50, 0.38), 1000)
    assert not is_unstable(Drop(18, 0.50, 0.41), 1_000_000)
    assert not is_unstable(Drop(18, 0.50, 0.38), 15)
    assert is_unstable(Drop(18, 0.90, 0.10), 15)


def test_the_best_epoch_is_the_one_that_training_would_export() -> None:
    """Of equal accuracies the lower loss, then the earlier epoch."""
    records = curve([0.5, 0.7, 0.7, 0.7, 0.6])
    best = Outcome(outcome("a").candidate, Status.FINISHED, records).best
    assert best is not None
    assert best.epoch == 2
    lower = dataclasses.replace(records[3], validation_loss=0.1)
    best = Outcome(outcome("a").candidate, Status.FINISHED, (*records[:3], lower)).best
    assert best is not None
    assert best.epoch == 4
    assert outcome("a").best is None
