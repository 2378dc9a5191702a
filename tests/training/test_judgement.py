"""The figures of a judgement."""

import math

import numpy as np
import pytest

from tests.training.reports import scores_for
from training.judgement import accuracy_of, accuracy_text, judgement_of


def test_figures() -> None:
    """Accuracy with its interval, means over the classes that have images, the loss, each class, confusions."""
    labels = np.array([0, 0, 0, 1], np.int32)
    found = judgement_of(scores_for([0, 0, 2, 0], 3, best_score=0.8), labels, ["a", "b", "c"])
    assert (found.num_images, found.num_right, found.accuracy) == (4, 2, 0.5)
    assert found.interval == pytest.approx((0.1500, 0.8500), abs=5e-4)
    assert found.majority_share == 0.75
    assert found.balanced_accuracy == pytest.approx((2 / 3 + 0) / 2)
    assert found.macro_f1 == pytest.approx((4 / 6 + 0) / 2)
    assert found.log_loss == pytest.approx(-(2 * math.log(0.8) + 2 * math.log(0.1)) / 4, rel=1e-6)
    assert [one.num_images for one in found.classes] == [3, 1, 0]
    assert [(one.true_name, one.predicted_name) for one in found.confusions] == [("a", "c"), ("b", "a")]
    assert found.confusion == [[2, 0, 1], [1, 0, 0], [0, 0, 0]]


def test_accuracy_in_words() -> None:
    """Share, counts and interval in one line."""
    assert accuracy_text(accuracy_of(120, 200)) == ("0.600 (120 of 200 images right; 95 % interval 0.531 to 0.665)")
