"""A reliability diagram as geometry, in the units of the drawing that the template makes (report_charts.py)."""

from dataclasses import dataclass
from typing import Final

from training.honest_scores import Reliability
from training.reliability import Bin
from training.report_charts import BOTTOM, LEFT, RIGHT, TOP, Tick

_SHARES: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
_PALEST: Final = 0.25
"""Opacity of a bar that hardly any image stands behind."""
_GAP: Final = 1.5


@dataclass(frozen=True)
class Bar:
    """One bin with images: its accuracy as a bar, its confidence as a mark where the bar should end."""

    x: float
    y: float
    width: float
    height: float
    opacity: float
    mark_y: float


@dataclass(frozen=True)
class ReliabilityChart:
    title: str
    error: float
    """Expected calibration error."""
    bars: list[Bar]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    diagonal: str
    """A path: where confidence and accuracy are the same."""


def reliability_chart(title: str, reliability: Reliability) -> ReliabilityChart:
    """Confidence to the right, accuracy upwards, both 0 to 1; the paler a bar, the fewer the images behind it."""
    most = max(one.num_images for one in reliability.bins)
    return ReliabilityChart(
        title,
        reliability.expected_calibration_error,
        [_bar(one, most) for one in reliability.bins if one.num_images],
        x_ticks=[Tick(_x_of(share), f"{share:.0%}") for share in _SHARES],
        y_ticks=[Tick(_y_of(share), f"{share:.0%}") for share in _SHARES],
        diagonal=f"M{_x_of(0)} {_y_of(0)}L{_x_of(1)} {_y_of(1)}",
    )


def _bar(one: Bin, most: int) -> Bar:
    left, right, top = _x_of(one.low), _x_of(one.high), _y_of(one.accuracy)
    return Bar(
        x=round(left + _GAP / 2, 1),
        y=top,
        width=round(right - left - _GAP, 1),
        height=round(_y_of(0) - top, 1),
        opacity=round(_PALEST + (1 - _PALEST) * one.num_images / most, 2),
        mark_y=_y_of(one.confidence),
    )


def _x_of(share: float) -> float:
    return round(LEFT + share * (RIGHT - LEFT), 1)


def _y_of(share: float) -> float:
    return round(BOTTOM - share * (BOTTOM - TOP), 1)
