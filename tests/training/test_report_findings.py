"""The figures behind the report page."""

import numpy as np
import pytest

from tests.training.reports import finished, scores_for
from training.report_findings import class_data, fitness_of, frequent_confusions, settings_of


def test_fitness() -> None:
    """Both accuracies are of the exported epoch, the largest class is the validation split's."""
    fitness = fitness_of(finished(["a", "b"], [0, 1, 1, 1]), scores_for([0, 1, 1, 0], 2))
    assert (fitness.num_right, fitness.num_images) == (3, 4)
    assert (fitness.validation_accuracy, fitness.training_accuracy) == (0.75, 0.5)
    assert (fitness.majority_name, fitness.majority_share) == ("b", 0.75)
    assert fitness.gap == -0.25
    assert not fitness.has_learned


def test_the_most_frequent_confusions() -> None:
    """Largest counts first, none of the diagonal, none of nothing."""
    confusion_kk = np.array([[9, 2, 0], [5, 1, 0], [0, 0, 3]])
    found = frequent_confusions(confusion_kk, ["a", "b", "c"], most=5)
    assert [(one.true_name, one.predicted_name, one.num_images) for one in found] == [("b", "a", 5), ("a", "b", 2)]
    assert found[0].share == pytest.approx(5 / 6)


def test_settings_and_their_defaults() -> None:
    """A setting has its flag and help, and says whether it is the default; one of another version is shown bare."""
    epochs, seed, unknown = settings_of({"epochs": 7, "seed": 100, "gone_since": "x"})
    assert (epochs.flag, epochs.is_default) == ("--epochs", False)
    assert seed.is_default
    assert "Seed" in seed.help
    assert (unknown.flag, unknown.value, unknown.help) == ("--gone-since", "x", "")


def test_data_of_classes() -> None:
    """Every class has its files and validation images; what was not recorded is empty."""
    recorded = {"classes": {"a": {"num_files": 4, "sha256": "ab"}}}
    rows = class_data(recorded, ["a", "b"], np.array([0, 0], np.int32))
    assert [(row.num_files, row.num_validation, row.sha256) for row in rows] == [(4, 2, "ab"), (0, 0, "")]
