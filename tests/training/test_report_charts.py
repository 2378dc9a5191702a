"""The geometry of the curves."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.reports import HISTORY
from training.report_charts import BOTTOM, LEFT, RIGHT, TOP, curve_chart, epoch_ticks, round_axis, thinned, value_text

FLOATS = st.integers(-(10**8), 10**8).map(lambda number: number / 10_000)
"""Losses and accuracies; closer together than this, floating point itself has no round numbers."""


@given(FLOATS, FLOATS)
def test_an_axis_of_round_numbers(one: float, other: float) -> None:
    """The axis holds both values in at most seven steps."""
    low, high = sorted((one, other))
    axis = round_axis(low, high)
    slack = axis.step * 1e-3
    assert axis.low - slack <= low <= high <= axis.high + slack
    assert 1 <= round((axis.high - axis.low) / axis.step) <= 7


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [(1, 1, [1]), (1, 3, [1, 2, 3]), (1, 20, [5, 10, 15, 20]), (1, 2000, [500, 1000, 1500, 2000])],
)
def test_ticks_of_epochs(first: int, last: int, expected: list[int]) -> None:
    """Epochs are whole and round."""
    assert epoch_ticks(first, last) == expected


def test_values_as_text() -> None:
    """Accuracies are percentages; digits are as many as the step needs."""
    assert value_text("accuracy", 0.5, 0.1) == "50%"
    assert value_text("accuracy", 0.975, 0.025) == "97.5%"
    assert value_text("loss", 1.5, 0.5) == "1.5"
    assert value_text("loss", 0.0025, 0.0005) == "0.0025"


@pytest.mark.parametrize("quantity", ["accuracy", "loss"])
def test_points_lie_inside(quantity: str) -> None:
    """Curves, ticks, the chosen epoch and the marked value lie within the drawing, larger values higher."""
    chart = curve_chart(HISTORY, 5, "accuracy" if quantity == "accuracy" else "loss", level=0.2)
    assert chart.level_y is not None
    heights = [chart.level_y, *(tick.at for tick in chart.y_ticks)]
    for line in chart.lines:
        (piece,) = line.pieces
        points = [tuple(map(float, point.split(","))) for point in piece.split()]
        assert len(points) == len(HISTORY)
        assert all(LEFT <= x <= RIGHT for x, _ in points)
        heights += [y for _, y in points]
        assert line.dot is not None
        assert line.dot.x == chart.chosen_x
    assert all(TOP <= y <= BOTTOM for y in heights)
    assert sorted((tick.at for tick in chart.y_ticks), reverse=True) == [tick.at for tick in chart.y_ticks]


def test_values_that_are_no_numbers() -> None:
    """A gap parts the curve; where nothing is a number there is an empty drawing."""
    history = [replace(record, training_loss=math.nan) if record.epoch == 4 else record for record in HISTORY]
    training, validation = curve_chart(history, 5, "loss").lines
    assert [len(piece.split()) for piece in training.pieces] == [3, 3]
    assert len(validation.pieces) == 1
    history = [replace(record, training_loss=math.inf, validation_loss=math.nan) for record in HISTORY]
    assert [(line.pieces, line.dot) for line in curve_chart(history, 5, "loss").lines] == [([], None), ([], None)]


def test_one_epoch_is_a_dot() -> None:
    """A single epoch has no line, only its mark."""
    chart = curve_chart(HISTORY[:1], 1, "accuracy")
    assert [(line.pieces, line.dot is not None) for line in chart.lines] == [([], True), ([], True)]


def test_thinning_keeps_what_matters() -> None:
    """The first, the last and the best epoch stay."""
    history = [replace(HISTORY[0], epoch=epoch) for epoch in range(1, 1001)]
    epochs = [record.epoch for record in thinned(history, 777, 10)]
    assert {1, 777, 1000} <= set(epochs)
    assert len(epochs) == 11
    assert epochs == sorted(epochs)
