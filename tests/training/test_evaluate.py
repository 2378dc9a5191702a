"""training/evaluate.py: the figures, in numpy alone."""

import numpy as np
import pytest

from training.evaluate import (
    accuracy,
    class_qualities,
    confusion_matrix,
    cross_entropy,
    least_accuracy,
    majority_share,
)

SCORES = np.asarray([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.6, 0.3, 0.1], [0.2, 0.5, 0.3]], np.float32)
LABELS = np.asarray([0, 1, 1, 1], np.int32)


def test_confusion_has_classes_in_rows_and_answers_in_columns() -> None:
    """Every image is counted once, and classes without images keep their row."""
    assert confusion_matrix(SCORES, LABELS).tolist() == [[1, 0, 0], [1, 2, 0], [0, 0, 0]]
    assert accuracy(SCORES, LABELS) == 0.75


def test_class_qualities_by_hand() -> None:
    """Precision, recall and F1 are those of the definition, and 0 for a class that never occurs."""
    first, second, third = class_qualities(confusion_matrix(SCORES, LABELS), ["a", "b", "c"])
    assert (first.precision, first.recall, first.num_predicted) == (0.5, 1.0, 2)
    assert second.recall == pytest.approx(2 / 3)
    assert second.f1 == pytest.approx(0.8)
    assert (third.precision, third.recall, third.f1, third.num_images) == (0.0, 0.0, 0.0, 0)


def test_cross_entropy_is_the_mean_and_stays_finite() -> None:
    """A probability of 0 for the right class costs much, not everything."""
    assert cross_entropy(SCORES, LABELS) == pytest.approx(-np.log([0.7, 0.8, 0.3, 0.5]).mean())
    assert np.isfinite(cross_entropy(np.asarray([[1, 0]], np.float32), np.asarray([1], np.int32)))


@pytest.mark.parametrize(("num_majority", "least"), [(20, 0.3), (50, 0.6), (80, 0.9), (90, 0.95), (100, 1.0)])
def test_the_least_accuracy_can_be_reached(num_majority: int, least: float) -> None:
    """Ten points above the largest class, and half of the rest where there is less than that to gain."""
    rest = np.resize(np.arange(1, 10, dtype=np.int32), 100 - num_majority)
    labels = np.concatenate([np.zeros(num_majority, np.int32), rest])
    assert majority_share(labels) == num_majority / 100
    assert least_accuracy(labels) == pytest.approx(least)
