"""training/keeper.py: which epoch is the best one."""

import pytest

from training.trained import EpochRecord

pytestmark = pytest.mark.slow  # it loads Keras


def _history(accuracies: list[float], losses: list[float] | None = None) -> list[EpochRecord]:
    losses = losses or [1.0] * len(accuracies)
    return [
        EpochRecord(index + 1, 0, 0, validation_loss=loss, validation_accuracy=share, images_per_second=1, seconds=1)
        for index, (share, loss) in enumerate(zip(accuracies, losses, strict=True))
    ]


def test_best_is_more_accurate_then_of_lower_loss_then_earlier() -> None:
    """Of epochs equally accurate the one with the lower validation loss is best; of equals, the first."""
    from training.keeper import best_of

    assert best_of(_history([0.5, 0.8, 0.8], [1, 0.5, 0.4]), 1) == 2
    assert best_of(_history([0.5, 0.9, 0.8], [1, 9.0, 0.4]), 1) == 1
    assert best_of(_history([0.8, 0.8]), 1) == 0


def test_a_lucky_epoch_does_not_win_on_the_smoothed_curve() -> None:
    """One jump counts by a share; the epochs that stay high win, and the last of them is taken."""
    from training.keeper import best_of, smoothed_accuracies

    history = _history([0.4, 0.75, 0.4, 0.7, 0.72, 0.71, 0.6])
    assert best_of(history, 1) == 1
    assert best_of(history, 3) == 5
    assert smoothed_accuracies(history, 3) == pytest.approx([0.4, 0.575, 1.55 / 3, 1.85 / 3, 1.82 / 3, 0.71, 2.03 / 3])


def test_the_best_so_far_is_known_while_it_trains() -> None:
    """What is best of the first epochs is never another one once more follow, unless a later one is better."""
    from training.keeper import best_of

    accuracies = [0.3, 0.5, 0.45, 0.6, 0.5, 0.55, 0.58, 0.4]
    bests = [best_of(_history(accuracies[:count]), 3) for count in range(1, len(accuracies) + 1)]
    assert all(best in (bests[index - 1], index) for index, best in enumerate(bests))
