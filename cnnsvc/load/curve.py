"""Latency curves drawn in characters: percentiles to the right, by their nines, and milliseconds upwards; pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.text import Text

from cnnsvc.load.record import CURVE_PERCENTILES

COLOURS: Final = ("cyan", "yellow", "magenta", "green", "blue", "red")
_WIDTH: Final = 64
_HEIGHT: Final = 14
_DOTS_ACROSS: Final = 2
_DOTS_DOWN: Final = 4
_BRAILLE: Final = 0x2800
_BITS: Final = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Of a braille character, by row and column of the dot."""
_TICKS: Final = (50.0, 90.0, 99.0, 99.9, 99.99)
_MARGIN: Final = 9


@dataclass(frozen=True)
class Curve:
    label: str
    values_ms: Sequence[float]
    """At each of CURVE_PERCENTILES, rising."""
    num_values: int
    """How many latencies are behind it: a curve ends where one of them alone is left."""


@dataclass(frozen=True)
class _Scale:
    """Milliseconds to rows of dots, logarithmic, row 0 on top."""

    low: float
    high: float

    def row(self, value_ms: float) -> int:
        share = math.log(max(value_ms, self.low) / self.low) / math.log(self.high / self.low)
        return min(_HEIGHT * _DOTS_DOWN - 1, max(0, round((1 - share) * (_HEIGHT * _DOTS_DOWN - 1))))


def draw(curves: Sequence[Curve]) -> Text:
    """All curves in one picture, each with its label at its end; nothing where there are none."""
    drawn = [(curve, _visible(curve)) for curve in curves if len(curve.values_ms)]
    if not drawn:
        return Text()
    everything = [value for _, values in drawn for value in values]
    scale = _scale(min(everything), max(everything))
    bits = [[0] * _WIDTH for _ in range(_HEIGHT)]
    styles = [[""] * _WIDTH for _ in range(_HEIGHT)]
    labels: dict[int, tuple[str, str]] = {}
    for index, (curve, values) in enumerate(drawn):
        colour = COLOURS[index % len(COLOURS)]
        _plot(values, scale, colour, bits, styles)
        labels[_free_row(scale.row(values[-1]) // _DOTS_DOWN, labels)] = (curve.label, colour)
    return _picture(bits, styles, labels, _ticks(scale))


def _visible(curve: Curve) -> list[float]:
    nines = math.log10(max(curve.num_values, 10))
    return [
        value
        for value, percentile in zip(curve.values_ms, CURVE_PERCENTILES, strict=True)
        if _nines(percentile) <= nines
    ]


def _nines(percentile: float) -> float:
    return -math.log10(1 - percentile / 100)


def _scale(low: float, high: float) -> _Scale:
    """Some room around the values, and at least a factor of two between the ends."""
    low = max(low, 1e-3)
    return _Scale(low / 1.05, max(high * 1.05, low * 2))


def _column(nines: float) -> int:
    return round(nines / _nines(CURVE_PERCENTILES[-1]) * (_WIDTH * _DOTS_ACROSS - 1))


def _plot(values: Sequence[float], scale: _Scale, colour: str, bits: list[list[int]], styles: list[list[str]]) -> None:
    """Dots for every value, and up to the next one, so that a step is a line."""
    rows = [scale.row(value) for value in values]
    last = _column(_nines(CURVE_PERCENTILES[len(values) - 1]))
    above = rows[0]
    for column in range(last + 1):
        row = rows[round(column / max(last, 1) * (len(rows) - 1))]
        for dot in range(row, max(above, row + 1)):
            line, cell = dot // _DOTS_DOWN, column // _DOTS_ACROSS
            bits[line][cell] |= _BITS[dot % _DOTS_DOWN][column % _DOTS_ACROSS]
            styles[line][cell] = colour
        above = row


def _free_row(wanted: int, taken: dict[int, tuple[str, str]]) -> int:
    """The nearest row that holds no label yet; upwards first."""
    nearest = sorted(range(_HEIGHT), key=lambda row: (abs(row - wanted), row))
    return next((row for row in nearest if row not in taken), wanted)


def _ticks(scale: _Scale) -> dict[int, str]:
    """Round numbers of milliseconds by row of characters, on rows far enough from each other."""
    ticks: dict[int, str] = {}
    for exponent in range(-3, 7):
        for digit in (1, 2, 5):
            value = digit * 10.0**exponent
            row = scale.row(value) // _DOTS_DOWN if scale.low <= value <= scale.high else None
            if row is not None and row not in ticks and row + 1 not in ticks:
                ticks[row] = f"{value:g} ms"
    return ticks


def _picture(
    bits: list[list[int]], styles: list[list[str]], labels: dict[int, tuple[str, str]], ticks: dict[int, str]
) -> Text:
    text = Text()
    for row in range(_HEIGHT):
        text.append(f"{ticks.get(row, ''):>{_MARGIN - 2}} {'┤' if row in ticks else '│'}", "dim")
        for cell, style in zip(bits[row], styles[row], strict=True):
            text.append(chr(_BRAILLE + cell) if cell else " ", style)
        label, colour = labels.get(row, ("", ""))
        text.append(f" {label}\n" if label else "\n", colour)
    text.append(" " * (_MARGIN - 1) + "└" + "─" * _WIDTH + "\n" + _axis(), "dim")
    return text


def _axis() -> str:
    """The percentages below their columns."""
    line = " " * (_MARGIN + _WIDTH + 4)
    for tick in _TICKS:
        label = f"{tick:g} %"
        place = max(_MARGIN, _MARGIN + _column(_nines(tick)) // _DOTS_ACROSS - len(label) // 2)
        line = line[:place] + label + line[place + len(label) :]
    return line.rstrip()
