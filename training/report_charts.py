"""The curves of a training as geometry: ticks and points in the units of the drawing that the template makes."""

import math
from dataclasses import dataclass
from typing import Final, Literal, cast

import numpy as np

from training.trained import EpochRecord

Quantity = Literal["accuracy", "loss"]
Split = Literal["training", "validation"]

# Small enough that its text can still be read on a phone, which draws it at 0.8 of this.
WIDTH: Final = 440
HEIGHT: Final = 270
LEFT: Final = 50
RIGHT: Final = WIDTH - 14
TOP: Final = 26
BOTTOM: Final = HEIGHT - 42

_MAX_POINTS: Final = 300
_NUM_STEPS: Final = 5
_ROUND: Final = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True)
class Dot:
    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Line:
    split: Split
    pieces: list[str]
    """Points of one polyline each, as SVG writes them; a value that is no number ends a piece."""
    dot: Dot | None
    """The chosen epoch."""


@dataclass(frozen=True)
class Chart:
    quantity: Quantity
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[Line]
    chosen_x: float
    level_y: float | None
    """Where the marked value lies."""


@dataclass(frozen=True)
class Axis:
    """Round numbers from low to high, both ends included."""

    low: float
    high: float
    step: float


@dataclass(frozen=True)
class _Plane:
    first: int
    last: int
    y_axis: Axis

    def x_of(self, epoch: int) -> float:
        share = (epoch - self.first) / (self.last - self.first) if self.last > self.first else 0.5
        return round(LEFT + 8 + share * (RIGHT - LEFT - 16), 1)

    def y_of(self, value: float) -> float:
        share = (value - self.y_axis.low) / (self.y_axis.high - self.y_axis.low)
        return round(BOTTOM - share * (BOTTOM - TOP), 1)


def curve_chart(
    history: list[EpochRecord], best_epoch: int, quantity: Quantity, *, level: float | None = None
) -> Chart:
    """Both splits' curves of one quantity; `level` is a value to mark with a horizontal line."""
    splits: tuple[Split, Split] = ("training", "validation")
    values = [_value(record, split, quantity) for record in history for split in splits]
    finite = [value for value in (*values, level) if value is not None and math.isfinite(value)] or [0.0]
    y_axis = round_axis(min(finite) if quantity == "accuracy" else 0.0, max(finite))
    plane = _Plane(history[0].epoch, history[-1].epoch, y_axis)
    shown = thinned(history, best_epoch, _MAX_POINTS)
    num_steps = round((y_axis.high - y_axis.low) / y_axis.step)
    heights = [y_axis.low + place * y_axis.step for place in range(num_steps + 1)]
    return Chart(
        quantity,
        x_ticks=[Tick(plane.x_of(epoch), str(epoch)) for epoch in epoch_ticks(plane.first, plane.last)],
        y_ticks=[Tick(plane.y_of(height), value_text(quantity, height, y_axis.step)) for height in heights],
        lines=[_line(shown, best_epoch, split, quantity, plane) for split in splits],
        chosen_x=plane.x_of(best_epoch),
        level_y=None if level is None else plane.y_of(level),
    )


def thinned(history: list[EpochRecord], best_epoch: int, most: int) -> list[EpochRecord]:
    """At most `most` records and the best one, evenly spread, the first and the last among them."""
    places = set(np.linspace(0, len(history) - 1, min(most, len(history))).round().astype(int).tolist())
    return [record for place, record in enumerate(history) if place in places or record.epoch == best_epoch]


def round_axis(low: float, high: float) -> Axis:
    """A handful of round steps that hold both values."""
    spread = high - low if high > low else max(abs(high), 1.0) / 10
    magnitude = 10.0 ** math.floor(math.log10(spread / _NUM_STEPS))
    step = next(factor * magnitude for factor in _ROUND if factor * magnitude * _NUM_STEPS >= spread * 0.999)
    bottom = math.floor(low / step + 1e-6) * step
    return Axis(bottom, max(math.ceil(high / step - 1e-6) * step, bottom + step), step)


def epoch_ticks(first: int, last: int) -> list[int]:
    """Round epochs from first to last, a handful of them."""
    step = max(1, math.ceil(round_axis(0, last - first).step)) if last > first else 1
    return [epoch for epoch in range(first, last + 1) if epoch % step == 0]


def value_text(quantity: Quantity, value: float, step: float) -> str:
    """A percentage for accuracies; as many digits as a multiple of the step needs."""
    scale, unit = (100, "%") if quantity == "accuracy" else (1, "")
    digits = next((d for d in range(9) if math.isclose(round(scale * step, d), scale * step, rel_tol=1e-6)), 9)
    return f"{scale * value:.{digits}f}{unit}"


def _line(history: list[EpochRecord], best_epoch: int, split: Split, quantity: Quantity, plane: _Plane) -> Line:
    pieces: list[list[str]] = [[]]
    dot = None
    for record in history:
        value = _value(record, split, quantity)
        if not math.isfinite(value):
            pieces.append([])
            continue
        x, y = plane.x_of(record.epoch), plane.y_of(value)
        pieces[-1].append(f"{x},{y}")
        if record.epoch == best_epoch:
            dot = Dot(x, y, value_text(quantity, value, 0.001))
    return Line(split, [" ".join(piece) for piece in pieces if len(piece) > 1], dot)


def _value(record: EpochRecord, split: Split, quantity: Quantity) -> float:
    return cast(float, getattr(record, f"{split}_{quantity}"))
