"""The comparison at a glance: bars of a few figures, one panel a figure, cnnsvc apart by colour, as SVG."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench.measure import COLD_START, MAIN_CONCURRENCY, MEMORY, SERVER_CPU, throughput
from bench.photographs import NUM_OF_SIZE, size_name
from bench.table import Round, format_number, medians

_OURS, _LOOP, _PEER = "#0b6e4f", "#b0b0b0", "#4c78a8"
_PANELS: Final = (
    *((throughput(size, MAIN_CONCURRENCY), f"images/s, {size_name(size)}") for size in list(NUM_OF_SIZE)[:2]),
    (SERVER_CPU, "server CPU, s per 1000 images"),
    (COLD_START, "cold start, s"),
    (MEMORY, "memory, MiB"),
)


def draw(rounds: Sequence[Round], systems: Sequence[str], path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.fonttype"] = "none"  # text stays text
    matplotlib.rcParams["svg.hashsalt"] = "cnnsvc"  # the same figures give the same file
    from matplotlib import pyplot

    height = 1.1 + 0.3 * len(systems)
    figure, axes = pyplot.subplots(1, len(_PANELS), figsize=(3 * len(_PANELS), height), sharey=True, squeeze=False)
    for axis, (name, title) in zip(axes[0], _PANELS, strict=True):
        _draw_bars(axis, [medians(rounds, system).get(name) for system in systems], systems)
        axis.set_title(title, fontsize=9)
    axes[0][0].set_yticks(range(len(systems)), systems, fontsize=9)
    axes[0][0].invert_yaxis()
    figure.tight_layout()
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)


def _draw_bars(axis: Any, values: Sequence[float | None], systems: Sequence[str]) -> None:
    colours = [_OURS if system.startswith("cnnsvc") else _LOOP if system == "raw" else _PEER for system in systems]
    bars = axis.barh(range(len(systems)), [value or 0 for value in values], color=colours)
    axis.bar_label(bars, [format_number(value) for value in values], padding=2, fontsize=8)
    axis.margins(x=0.2)
    axis.set_xticks([])
    for side in ("top", "right", "bottom"):
        axis.spines[side].set_visible(False)
