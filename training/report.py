"""The report of a training: metrics.json with every figure, and pictures of curves, confusions and classes."""

import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from cnnsvc.engines.base import Scores
from training.evaluate import ClassQuality, accuracy, class_qualities, confusion_matrix
from training.held_out import HeldOutResult
from training.honest_scores import FittedScores
from training.trained import EpochRecord, Trained

REPORT_DIR: Final = "report"

_MAX_LABELLED_CLASSES: Final = 40
"""Beyond this many the names in a picture cannot be read; the table then shows the worst ones."""
_ROW_INCHES: Final = 0.28
_HEADINGS: Final = ("class", "images", "predicted", "right", "precision", "recall", "F1")


def write_report(
    folder: Path, trained: Trained, scores_nk: Scores, export: dict[str, Any], tested: HeldOutResult | None = None
) -> None:
    """Writes report/ into the bundle folder.

    `scores_nk` are the network's own over the validation split, float32 (N, K); `export` is what the proof found,
    JSON-ready.
    """
    report_dir = folder / REPORT_DIR
    report_dir.mkdir()
    labels = trained.validation.labels
    confusion_kk = confusion_matrix(scores_nk, labels)
    qualities = class_qualities(confusion_kk, trained.class_names)
    metrics = {
        "name": trained.name,
        "network": {"name": trained.network_name, "notation": trained.notation},
        "image": msgspec.structs.asdict(trained.image),
        "num_validation_images": len(labels),
        "validation_accuracy": accuracy(scores_nk, labels),
        "best_epoch": trained.best_epoch,
        "history": [asdict(record) for record in trained.history],
        "class_names": trained.class_names,
        "confusion": confusion_kk.tolist(),
        "classes": [asdict(quality) for quality in qualities],
        "test": asdict(tested) if tested else None,
        "scores": asdict(trained.scores) if trained.scores else None,
        "export": export,
        "training": trained.facts,
    }
    (report_dir / "metrics.json").write_bytes(msgspec.json.format(msgspec.json.encode(metrics), indent=2) + b"\n")
    save_figure(curves_figure(trained.history, trained.best_epoch), report_dir / "curves.png")
    save_figure(confusion_figure(confusion_kk, trained.class_names), report_dir / "confusion.png")
    save_figure(classes_figure(qualities), report_dir / "classes.png")
    if trained.scores:
        save_figure(reliability_figure(trained.scores), report_dir / "reliability.png")


def curves_figure(history: list[EpochRecord], best_epoch: int) -> Figure:
    """Accuracy and loss of both splits by epoch; a line marks the epoch that was exported."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    epochs = [record.epoch for record in history]
    for axes, quantity in zip(figure.subplots(1, 2), ("accuracy", "loss"), strict=True):
        for split in ("training", "validation"):
            values = [getattr(record, f"{split}_{quantity}") for record in history]
            axes.plot(epochs, values, marker=".", label=split)
        axes.axvline(best_epoch, color="grey", linestyle="--", label=f"exported: epoch {best_epoch}")
        axes.set(xlabel="epoch", ylabel=quantity)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def confusion_figure(confusion_kk: NDArray[np.int64], class_names: list[str]) -> Figure:
    """Images by class (rows) and by the class they were given (columns); colours are shares of the row."""
    num_classes = len(class_names)
    side = 2.5 + 0.45 * min(num_classes, _MAX_LABELLED_CLASSES)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    shares = confusion_kk / confusion_kk.sum(axis=1, keepdims=True).clip(1)
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(picture, label="share of the class")
    axes.set(xlabel="predicted", ylabel="class")
    if num_classes <= _MAX_LABELLED_CLASSES:
        names = [_plain(name) for name in class_names]
        axes.set_xticks(range(num_classes), names, rotation=90)
        axes.set_yticks(range(num_classes), names)
        for row, column in np.ndindex(confusion_kk.shape):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(confusion_kk[row, column]), ha="center", va="center", color=colour, fontsize=8)
    return figure


def classes_figure(qualities: list[ClassQuality]) -> Figure:
    """The table of classes, the worst by F1 first, those without images last."""
    worst = sorted(qualities, key=lambda quality: (quality.num_images == 0, quality.f1))[:_MAX_LABELLED_CLASSES]
    figure = Figure(figsize=(9, 0.6 + _ROW_INCHES * (len(worst) + 1)), layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    if len(worst) < len(qualities):
        axes.set_title(f"the {len(worst)} classes of {len(qualities)} with the lowest F1")
    cells = [
        [_plain(one.name), f"{one.num_images}", f"{one.num_predicted}", f"{one.num_right}"]
        + ["–" if share is None else f"{share:.3f}" for share in (one.precision, one.recall, one.f1)]
        for one in worst
    ]
    widths = [0.34] + [0.11] * (len(_HEADINGS) - 1)
    axes.table(cells, colLabels=_HEADINGS, colWidths=widths, loc="upper center").scale(1, 1.2)
    return figure


def reliability_figure(scores: FittedScores) -> Figure:
    """Accuracy by confidence, before and after calibration; on the dashed line both are the same."""
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    sides = {"before calibration": scores.before, "after, cross-validated": scores.after}
    for axes, (title, reliability) in zip(figure.subplots(1, 2), sides.items(), strict=True):
        bins = [one for one in reliability.bins if one.num_images]
        widths = [one.high - one.low for one in bins]
        axes.bar([one.low for one in bins], [one.accuracy for one in bins], widths, align="edge", edgecolor="white")
        axes.plot([one.confidence for one in bins], [one.accuracy for one in bins], "o", color="C1", markersize=4)
        axes.plot([0, 1], [0, 1], linestyle="--", color="grey")
        axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
        axes.set_title(f"{title}: expected calibration error {reliability.expected_calibration_error:.3f}")
    return figure


def _plain(name: str) -> str:
    """A class name as matplotlib should print it: without formulas, cut where long."""
    return (name if len(name) <= 30 else name[:29] + "…").replace("$", r"\$")


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a picture, PNG."""
    with warnings.catch_warnings():
        # A class name in a script that matplotlib's font lacks prints as boxes; the JSON has it right.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure.savefig(path, dpi=100)
