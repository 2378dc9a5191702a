"""Writes report.html: the whole report of a bundle as one page that asks nothing of any other file or server.

Class names and file names are somebody else's text: the template escapes every value, and the page's own content
security policy allows neither scripts nor requests.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cnnsvc.manifest import Manifest
from training import report_charts
from training.evaluate import class_qualities, confusion_matrix
from training.export.agreement import NEAR_TIE
from training.export.parity import Proof
from training.held_out import HeldOutResult
from training.honest_scores import FittedScores
from training.page_templates import template
from training.reliability_chart import ReliabilityChart, reliability_chart
from training.report import REPORT_DIR
from training.report_charts import curve_chart, thinned
from training.report_findings import SMALL_GAP, WIDE_GAP, class_data, fitness_of, frequent_confusions, settings_of
from training.report_pictures import MAX_MISTAKES, golden_images, matrix_picture, most_confident_mistakes
from training.report_times import times_of
from training.trained import Trained

PAGE_NAME: Final = "report.html"

MAX_MATRIX_CLASSES: Final = 40
"""Beyond this many the matrix is a picture, since nobody reads thousands of numbers."""
_MAX_PICTURE_CLASSES: Final = 2000
_MAX_ROWS: Final = 250
"""Longer tables go on in metrics.json, which keeps the page below a megabyte or two."""
_NUM_CONFUSIONS: Final = 10
_KNOWN_FACTS: Final = (
    "settings",
    "seed",
    "backend",
    "device",
    "precision",
    "python",
    "packages",
    "data",
    "unreadable",
    "inspection",
    "timings",
    "test",
    "ablation",
)


def write_page(
    folder: Path, trained: Trained, proof: Proof, manifest: Manifest, tested: HeldOutResult | None = None
) -> None:
    """Writes report/report.html into the bundle folder, whose report/ and golden/ are there."""
    page = template("report_page.html.j2").render(_contents(folder, trained, proof, manifest), tested=tested)
    (folder / REPORT_DIR / PAGE_NAME).write_text(page, encoding="utf-8")


def _contents(folder: Path, trained: Trained, proof: Proof, manifest: Manifest) -> dict[str, Any]:
    scores_nk, labels, facts = proof.scores_nk, trained.validation.labels, trained.facts
    confusion_kk = confusion_matrix(scores_nk, labels)
    fitness = fitness_of(trained, scores_nk)
    qualities = class_qualities(confusion_kk, trained.class_names)
    history, best = trained.history, trained.best_epoch
    return {
        "manifest": manifest,
        "fitness": fitness,
        "small_gap": SMALL_GAP,
        "wide_gap": WIDE_GAP,
        "history": history,
        "epochs": thinned(history, best, _MAX_ROWS),
        "best": next(record for record in history if record.epoch == best),
        "plane": report_charts,
        "charts": [
            curve_chart(history, best, "accuracy", level=fitness.majority_share),
            curve_chart(history, best, "loss"),
        ],
        "qualities": sorted(qualities, key=lambda quality: (quality.num_images == 0, quality.f1)),
        "confusions": frequent_confusions(confusion_kk, trained.class_names, _NUM_CONFUSIONS),
        "mistakes": most_confident_mistakes(trained, scores_nk),
        "max_mistakes": MAX_MISTAKES,
        "agreements": proof.agreements,
        "near_tie": NEAR_TIE,
        "settings": settings_of(facts.get("settings", {})),
        "facts": facts,
        "other_facts": {name: value for name, value in facts.items() if name not in _KNOWN_FACTS},
        "scores": trained.scores,
        "reliability_charts": _reliability_charts(trained.scores),
        "classes": class_data(facts.get("data", {}), trained.class_names, labels),
        "max_rows": _MAX_ROWS,
        "times": times_of(facts, history),
        "golden": golden_images(folder, manifest),
        **_matrix(confusion_kk),
    }


def _reliability_charts(scores: FittedScores | None) -> list[ReliabilityChart]:
    """One where nothing was calibrated."""
    if scores is None:
        return []
    if scores.kept_because:
        return [reliability_chart("Accuracy by confidence", scores.before)]
    return [
        reliability_chart("Before calibration", scores.before),
        reliability_chart("After calibration, cross-validated", scores.after),
    ]


def _matrix(confusion_kk: NDArray[np.int64]) -> dict[str, Any]:
    """The matrix as rows of (count, share of its row), as a picture, or, of thousands of classes, not at all."""
    num_classes = len(confusion_kk)
    if num_classes > MAX_MATRIX_CLASSES:
        picture = matrix_picture(confusion_kk) if num_classes <= _MAX_PICTURE_CLASSES else None
        return {"matrix": None, "matrix_picture": picture}
    shares = confusion_kk / confusion_kk.sum(axis=1, keepdims=True).clip(1)
    rows = [
        list(zip(counts, row, strict=True)) for counts, row in zip(confusion_kk.tolist(), shares.tolist(), strict=True)
    ]
    return {"matrix": rows, "matrix_picture": None}
