"""The report: every figure as JSON, and pictures that can be drawn for any training."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image

from cnnsvc.engines.base import Scores
from cnnsvc.manifest import ImageShape
from tests.training.made_up_scores import planted
from training.evaluate import class_qualities, confusion_matrix
from training.honest_scores import FittedScores, fit_scores
from training.report import classes_figure, confusion_figure, curves_figure, reliability_figure, write_report
from training.trained import EpochRecord, Labelled, Trained

HISTORY = [EpochRecord(epoch, 2 / epoch, epoch / 10, 2.5 / epoch, epoch / 12, 120.0, 3.5) for epoch in range(1, 8)]
LABELS = np.array([0, 0, 0, 1, 1, 2], np.int32)
PREDICTED = np.array([0, 0, 1, 1, 1, 0])


def scores_of(predicted: NDArray[np.int64], num_classes: int) -> Scores:
    return np.array(np.eye(num_classes)[predicted], np.float32)


def training(class_names: list[str]) -> Trained:
    """A finished training without its network, which a report does not touch."""
    return Trained(
        name="flowers",
        network=None,
        network_name="26",
        notation="C: 16 16 32 32 D: 16R",
        class_names=class_names,
        image=ImageShape(180, 160, 3),
        validation=Labelled([], np.zeros((0, 1, 1, 3), np.uint8), LABELS, []),
        calibration_nhwc=np.zeros((0, 1, 1, 3), np.uint8),
        history=HISTORY,
        best_epoch=5,
        facts={"settings": {"seed": 100}, "unreadable": ["a.jpg"]},
        folder=Path("data"),
    )


@pytest.fixture(scope="module")
def scores() -> FittedScores:
    return fit_scores(*planted(400, 3.0), calibrate=True, accept_share=0.95, seed=0)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, scores: FittedScores) -> Path:
    tmp_path = tmp_path_factory.mktemp("bundle")
    trained = replace(training(["daisy", "rose", "tulip"]), scores=scores)
    write_report(tmp_path, trained, scores_of(PREDICTED, 3), {"agreements": [{"engine": "openvino"}]})
    return tmp_path / "report"


def test_every_figure_is_in_the_json(report: Path) -> None:
    """History, chosen epoch, accuracy, confusions, classes, the proof's figures and the training's facts."""
    metrics = json.loads((report / "metrics.json").read_text())
    assert metrics["name"] == "flowers"
    assert metrics["network"] == {"name": "26", "notation": "C: 16 16 32 32 D: 16R"}
    assert metrics["image"] == {"height": 180, "width": 160, "channels": 3}
    assert metrics["best_epoch"] == 5
    assert [record["validation_accuracy"] for record in metrics["history"]] == [epoch / 12 for epoch in range(1, 8)]
    assert metrics["num_validation_images"] == 6
    assert metrics["validation_accuracy"] == pytest.approx(4 / 6)
    assert metrics["confusion"] == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]
    assert [(one["name"], one["num_right"]) for one in metrics["classes"]] == [("daisy", 2), ("rose", 2), ("tulip", 0)]
    assert metrics["classes"][1]["precision"] == pytest.approx(2 / 3)
    assert metrics["export"] == {"agreements": [{"engine": "openvino"}]}
    assert metrics["training"]["unreadable"] == ["a.jpg"]


def test_the_scores_are_in_the_json(report: Path, scores: FittedScores) -> None:
    """Temperature, threshold, errors before and after, every bin, what is answered."""
    found = json.loads((report / "metrics.json").read_text())["scores"]
    assert (found["temperature"], found["threshold"]) == (scores.temperature, scores.threshold)
    assert found["before"]["expected_calibration_error"] == scores.before.expected_calibration_error
    assert sum(one["num_images"] for one in found["after"]["bins"]) == found["selection"]["num_images"] == 400


def test_a_report_without_fitted_scores(tmp_path: Path) -> None:
    """Has no figure of them and no picture."""
    write_report(tmp_path, training(["daisy", "rose", "tulip"]), scores_of(PREDICTED, 3), {})
    assert json.loads((tmp_path / "report/metrics.json").read_text())["scores"] is None
    assert not (tmp_path / "report/reliability.png").exists()


def test_the_reliability_is_drawn(scores: FittedScores) -> None:
    """One bar a bin that has images, as high as its accuracy, before and after, each with its error."""
    figure = reliability_figure(scores)
    for axes, reliability in zip(figure.axes, (scores.before, scores.after), strict=True):
        expected = [one.accuracy for one in reliability.bins if one.num_images]
        bars = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
        assert [bar.get_height() for bar in bars] == pytest.approx(expected)
        assert axes.get_title().endswith(f"error {reliability.expected_calibration_error:.3f}")


@pytest.mark.parametrize("name", ["curves", "confusion", "classes", "reliability"])
def test_the_pictures_can_be_opened(report: Path, name: str) -> None:
    """Each picture is a PNG with something drawn on it."""
    with Image.open(report / f"{name}.png") as picture:
        assert picture.format == "PNG"
        assert np.asarray(picture.convert("L")).std() > 1


def test_classes_without_images_are_not_the_worst() -> None:
    """In the table of the worst classes they stand last, and their recall is no number there nor in the JSON."""
    qualities = class_qualities(confusion_matrix(scores_of(PREDICTED, 4), LABELS), ["daisy", "rose", "tulip", "none"])
    assert [quality.recall is None for quality in qualities] == [False, False, False, True]
    (table,) = classes_figure(qualities).axes[0].tables
    assert [table[row, 0].get_text().get_text() for row in range(1, 5)] == ["tulip", "daisy", "rose", "none"]
    assert table[4, 5].get_text().get_text() == "–"


def test_the_curves_mark_the_chosen_epoch() -> None:
    """Both pictures of the curves show both splits and a line at the epoch that was exported."""
    figure = curves_figure(HISTORY, best_epoch=5)
    for axes, quantity in zip(figure.axes, ("accuracy", "loss"), strict=True):
        assert [line.get_label() for line in axes.lines] == ["training", "validation", "exported: epoch 5"]
        np.testing.assert_array_equal(axes.lines[2].get_xdata(), [5, 5])
        expected = [getattr(record, f"validation_{quantity}") for record in HISTORY]
        np.testing.assert_array_equal(axes.lines[1].get_ydata(), expected)


def test_one_epoch() -> None:
    """A training of a single epoch has curves too."""
    assert len(curves_figure(HISTORY[:1], best_epoch=1).axes) == 2


def test_the_confusions_are_counted() -> None:
    """Every cell shows its count: classes downwards, predictions to the right."""
    figure = confusion_figure(confusion_matrix(scores_of(PREDICTED, 3), LABELS), ["a", "b", "c"])
    cells = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    assert cells[1, 0] == "1"  # one image of the first class was given the second
    assert cells[0, 2] == "1"
    assert len(cells) == 9


def test_the_table_of_classes() -> None:
    """The table has a row a class, the worst first."""
    qualities = class_qualities(confusion_matrix(scores_of(PREDICTED, 3), LABELS), ["a", "b", "c"])
    (table,) = classes_figure(qualities).axes[0].tables
    cells = {place: cell.get_text().get_text() for place, cell in table.get_celld().items()}
    assert [cells[0, column] for column in range(7)] == [
        *("class", "images", "predicted", "right", "precision", "recall", "F1")
    ]
    assert [cells[row, 0] for row in (1, 2, 3)] == ["c", "a", "b"]
    assert [cells[3, column] for column in range(1, 7)] == ["2", "3", "2", "0.667", "1.000", "0.800"]


@pytest.mark.slow
def test_many_classes(tmp_path: Path) -> None:
    """Hundreds of classes make pictures of a sensible size; the JSON has all of them."""
    num_classes = 300
    trained = training([f"class {index}" for index in range(num_classes)])
    write_report(tmp_path, trained, scores_of(PREDICTED, num_classes), {})
    assert len(json.loads((tmp_path / "report" / "metrics.json").read_text())["classes"]) == num_classes
    for name in ("confusion", "classes"):
        with Image.open(tmp_path / "report" / f"{name}.png") as picture:
            assert max(picture.size) < 3000


def test_names_that_matplotlib_would_misread(tmp_path: Path) -> None:
    """Dollar signs, long names and other scripts are printed as they are or cut, without an error or a warning."""
    names = ["$1 or $2$", "バラ", "a rather long name of a class that goes on and on"]
    write_report(tmp_path, training(names), scores_of(PREDICTED, 3), {})
    assert json.loads((tmp_path / "report" / "metrics.json").read_text())["class_names"] == names
