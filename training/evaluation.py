"""A bundle judged on a folder of images: what `cnnsvc evaluate --json` prints, field by field."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnsvc.manifest import Manifest
from cnnsvc.model import Model
from training.answers import Answers, answer_all
from training.cache import Unreadable, fingerprint_of
from training.dataset import Listing
from training.inspection.findings import BadFile, shown
from training.judged_folder import absent_classes
from training.judgement import Judgement, judgement_of
from training.progress import Reporter


@dataclass(frozen=True)
class Evaluation:
    """Files are named relative to the folder, their class first."""

    model: str
    version: int
    artifact: str
    engine: str
    folder: str
    num_files: int
    ignored: dict[str, int]
    """Files that do not count, by extension."""
    unreadable: list[BadFile]
    absent_classes: list[str]
    """Classes of the bundle without a file."""
    same_as_training: list[str]
    """Classes whose files are the very ones that the bundle was trained and chosen on."""
    judgement: Judgement


def evaluate_model(model: Model, listing: Listing, reporter: Reporter) -> Evaluation:
    """Raises DatasetError where no file can be read, EngineError where the network fails."""
    engine = model.engine
    answers = answer_all(listing, model.decode, engine.run, num_threads=engine.num_streams, reporter=reporter)
    return Evaluation(
        model=model.manifest.name,
        version=model.manifest.version,
        artifact=engine.artifact,
        engine=engine.name,
        folder=shown(listing.folder),
        num_files=len(listing.files),
        ignored=listing.num_ignored,
        unreadable=bad_files(answers.unreadable, listing.folder),
        absent_classes=absent_classes(listing),
        same_as_training=_same_as_training(answers, model.manifest),
        judgement=judgement_of(answers.scores_nk, answers.labels, listing.class_names),
    )


def bad_files(unreadable: list[Unreadable], folder: Path) -> list[BadFile]:
    """Named relative to the folder."""
    return [BadFile(shown(one.file.relative_to(folder)), one.reason) for one in unreadable]


def _same_as_training(answers: Answers, manifest: Manifest) -> list[str]:
    """By the fingerprints that the manifest has for people, so whatever they may be."""
    data: Any = manifest.training.get("data")
    recorded: Any = data.get("classes") if isinstance(data, dict) else None
    if not isinstance(recorded, dict):
        return []
    found = fingerprint_of(answers.listing, dict(zip(answers.listing.files, answers.sha256s, strict=True)))
    absent = absent_classes(answers.listing)
    return [
        name
        for name, sha256 in found.items()
        if name not in absent and isinstance(one := recorded.get(name), dict) and one.get("sha256") == sha256
    ]
