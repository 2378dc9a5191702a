"""training/evaluate.py: the figures, in numpy alone."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from training.evaluate import (
    accuracy,
    class_qualities,
    confusion_matrix,
    cross_entropy,
    has_learned,
    least_right,
    majority_share,
    predict_batch_size,
)

SCORES = np.asarray([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.6, 0.3, 0.1], [0.2, 0.5, 0.3]], np.float32)
LABELS = np.asarray([0, 1, 1, 1], np.int32)


def test_confusion_has_classes_in_rows_and_answers_in_columns() -> None:
    """Every image is counted once, and classes without images keep their row."""
    assert confusion_matrix(SCORES, LABELS).tolist() == [[1, 0, 0], [1, 2, 0], [0, 0, 0]]
    assert accuracy(SCORES, LABELS) == 0.75


def test_class_qualities_by_hand() -> None:
    """Precision, recall and F1 are those of the definition; a class without images has no recall."""
    first, second, third = class_qualities(confusion_matrix(SCORES, LABELS), ["a", "b", "c"])
    assert (first.precision, first.recall, first.num_predicted) == (0.5, 1.0, 2)
    assert second.recall == pytest.approx(2 / 3)
    assert second.f1 == pytest.approx(0.8)
    assert (third.precision, third.recall, third.f1, third.num_images) == (0.0, None, 0.0, 0)


def test_cross_entropy_is_the_mean_and_stays_finite() -> None:
    """A probability of 0 for the right class costs much, not everything."""
    assert cross_entropy(SCORES, LABELS) == pytest.approx(-np.log([0.7, 0.8, 0.3, 0.5]).mean())
    assert np.isfinite(cross_entropy(np.asarray([[1, 0]], np.float32), np.asarray([1], np.int32)))


@pytest.mark.parametrize(("num_majority", "least"), [(20, 30), (50, 60), (80, 90), (90, 95), (99, 100), (100, 100)])
def test_the_least_accuracy_can_be_reached(num_majority: int, least: float) -> None:
    """Ten points above the largest class, and half of the rest where there is less than that to gain."""
    rest = np.resize(np.arange(1, 10, dtype=np.int32), 100 - num_majority)
    labels = np.concatenate([np.zeros(num_majority, np.int32), rest])
    assert majority_share(labels) == num_majority / 100
    assert least_right(labels) == least


def test_a_run_exactly_at_the_threshold_is_alive() -> None:
    """Six right of twenty in five equal classes are ten points above chance, although 0.2 + 0.1 > 0.3 in floats."""
    labels = np.repeat(np.arange(5, dtype=np.int32), 4)
    assert has_learned(6 / 20, labels)
    assert not has_learned(5 / 20, labels)
    for num_images in range(2, 200):
        labels = np.concatenate([np.zeros(num_images // 2, np.int32), np.ones(num_images - num_images // 2, np.int32)])
        assert has_learned(least_right(labels) / num_images, labels)
        assert not has_learned((least_right(labels) - 1) / num_images, labels)


@pytest.mark.parametrize(
    ("outputs", "size"),
    [([(32, 32, 16)], 64), ([(180, 180, 16), (16,)], 32), ([(8,), (320, 320, 32)], 5), ([(4096, 4096, 64)], 1)],
)
def test_the_larger_the_layers_the_fewer_images_at_once(outputs: list[tuple[int, ...]], size: int) -> None:
    """The largest layer decides, and one image is always taken."""
    layers = [SimpleNamespace(output=SimpleNamespace(shape=(None, *output))) for output in outputs]
    network: Any = SimpleNamespace(layers=layers)
    assert predict_batch_size(network) == size
