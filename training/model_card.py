"""Writes model_card.md: what a training knows for the sections of a model card, and places for what people know.

Source of the sections: M. Mitchell et al., Model Cards for Model Reporting, FAT* 2019. Class names and file names are
somebody else's text: every value is escaped, so that none becomes a heading, a link, a picture or HTML.
"""

import re
from pathlib import Path
from typing import Any, Final

import jinja2

from cnnsvc.manifest import Manifest
from training.evaluate import class_qualities, confusion_matrix
from training.export.parity import Proof
from training.held_out import HeldOutResult
from training.inspection.findings import IMBALANCED_RATIO
from training.judgement import Accuracy, accuracy_of
from training.printable import printable
from training.report import REPORT_DIR
from training.report_findings import fitness_of
from training.trained import Trained

CARD_NAME: Final = "model_card.md"
_MAX_ROWS: Final = 250
_MAX_NAMES: Final = 50
_MAKERS: Final = ("cnnsvc", "keras", "tensorflow")
_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# Also what makes links of bare addresses and mentions, as the Markdown of code hosts does.
_ACTIVE: Final = re.compile(r"[\\`*_{}\[\]|~$@#!]|:(?=//)|(?<=www)\.", re.IGNORECASE)


def write_card(
    folder: Path, trained: Trained, proof: Proof, manifest: Manifest, tested: HeldOutResult | None = None
) -> None:
    """Writes report/model_card.md into the bundle folder, whose report/ is there."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=False,  # noqa: S701  # it is Markdown, which _escaped is for
        finalize=_escaped,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    card = environment.get_template("model_card.md.j2").render(_contents(trained, proof, manifest, tested))
    (folder / REPORT_DIR / CARD_NAME).write_text(card, encoding="utf-8")


def _contents(trained: Trained, proof: Proof, manifest: Manifest, tested: HeldOutResult | None) -> dict[str, Any]:
    packages = trained.facts.get("packages", {})
    fitness = fitness_of(trained, proof.scores_nk)
    if tested:
        qualities = tested.judgement.classes
    else:
        confusion_kk = confusion_matrix(proof.scores_nk, trained.validation.labels)
        qualities = class_qualities(confusion_kk, trained.class_names)
    accuracies: list[tuple[str, Accuracy]] = [("validation", accuracy_of(fitness.num_right, fitness.num_images))]
    if tested:
        accuracies.append(("test", tested.judgement))
    if tested and tested.without_overlaps:
        accuracies.append(("test, without images that are in training too", tested.without_overlaps))
    return {
        "manifest": manifest,
        "makers": {name: version for name, version in packages.items() if name in _MAKERS},
        "facts": trained.facts,
        "fitness": fitness,
        "tested": tested,
        "accuracies": accuracies,
        "qualities": sorted(qualities, key=lambda one: (one.num_images == 0, one.f1)),
        "num_unseen": sum(one.num_images == 0 for one in qualities),
        "imbalanced_ratio": IMBALANCED_RATIO,
        "max_rows": _MAX_ROWS,
        "max_names": _MAX_NAMES,
    }


def _escaped(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return "".join(_ENTITIES.get(char, char) for char in _ACTIVE.sub(r"\\\g<0>", printable(value)))
