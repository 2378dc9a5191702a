"""The test folder of a training: never trained or chosen on, and looked through for images that are, all the same.

It is judged last, by the artifact that will be served.
"""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from cnnsvc.errors import DatasetError
from training.answers import Decode, Run, answer_all
from training.dataset import Listing
from training.evaluation import bad_files
from training.inspection.duplicates import find_duplicates
from training.inspection.findings import BadFile, shown
from training.inspection.glance import Glance, Thumbs, glance_all
from training.inspection.inspection import Inspection
from training.judged_folder import absent_classes
from training.judgement import Accuracy, Judgement, accuracy_of, accuracy_text, judgement_of
from training.printable import printable
from training.progress import Reporter

_MAX_NAMED: Final = 10


@dataclass(frozen=True)
class Overlap:
    """A test image that the network is trained or chosen on too."""

    file: str
    """Relative to the test folder."""
    twin: str
    """Relative to the training folder: the first one that is the same, or nearly."""
    is_exact: bool
    """Whether the bytes are the same, not only the pixels nearly."""


@dataclass(frozen=True)
class HeldOut:
    listing: Listing
    """With the class names of the training."""
    overlaps: list[Overlap]


@dataclass(frozen=True)
class HeldOutResult:
    """Files are named relative to the test folder, their class first."""

    artifact: str
    folder: str
    num_files: int
    unreadable: list[BadFile]
    absent_classes: list[str]
    """Classes without a test file."""
    judgement: Judgement
    """On all images."""
    overlaps: list[Overlap]
    without_overlaps: Accuracy | None
    """On the other images, where some overlap and some do not."""


def hold_out(listing: Listing, inspection: Inspection, left_out: Collection[int], reporter: Reporter) -> HeldOut:
    """Looks at every test file once, small, and says what a person should know; left_out are rows not trained on.

    Raises DatasetError where no test file can be read.
    """
    glances, thumbs = glance_all(listing.files, reporter)
    if all(glance.reason for glance in glances):
        raise DatasetError(
            f"none of the {len(glances)} test files of {listing.folder} can be read, {listing.files[0]} first:"
            f" {glances[0].reason}"
        )
    held_out = HeldOut(listing, _overlaps(listing, glances, thumbs, inspection, left_out))
    for line in _lines(held_out, [glance.reason for glance in glances], inspection.listing.folder):
        reporter.say(printable(line))
    return held_out


def judge_held_out(held_out: HeldOut, artifact: str, decode: Decode, run: Run) -> HeldOutResult:
    """Raises DatasetError where no file can be read by now, EngineError where the network fails."""
    listing = held_out.listing
    answers = answer_all(listing, decode, run, num_threads=1)
    judgement = judgement_of(answers.scores_nk, answers.labels, listing.class_names)
    overlapping = {one.file for one in held_out.overlaps}
    is_new = np.asarray([shown(file.relative_to(listing.folder)) not in overlapping for file in answers.files], bool)
    is_right = answers.scores_nk.argmax(axis=1) == answers.labels
    return HeldOutResult(
        artifact=artifact,
        folder=shown(Path(listing.folder.resolve().name)),  # without its path: a bundle travels
        num_files=len(listing.files),
        unreadable=bad_files(answers.unreadable, listing.folder),
        absent_classes=absent_classes(listing),
        judgement=judgement,
        overlaps=held_out.overlaps,
        without_overlaps=accuracy_of(int(is_right[is_new].sum()), int(is_new.sum()))
        if is_new.any() and not is_new.all()
        else None,
    )


def result_lines(tested: HeldOutResult) -> list[str]:
    """For a person at the end of a training."""
    lines = [f"test accuracy {accuracy_text(tested.judgement)}"]
    if tested.without_overlaps:
        lines.append(
            f"test accuracy without {len(tested.overlaps)} that {_are(tested.overlaps)} in training too"
            f" {accuracy_text(tested.without_overlaps)}"
        )
    return lines


def result_facts(tested: HeldOutResult) -> dict[str, Any]:
    """What the record of a training keeps: means and counts; classes, confusions and files are in metrics.json."""
    judgement = asdict(tested.judgement)
    means = {name: value for name, value in judgement.items() if not isinstance(value, list)}
    return {
        "folder": tested.folder,
        "artifact": tested.artifact,
        **means,
        "num_unreadable": len(tested.unreadable),
        "num_overlaps": len(tested.overlaps),
        "without_overlaps": asdict(tested.without_overlaps) if tested.without_overlaps else None,
    }


def _overlaps(
    listing: Listing, glances: list[Glance], thumbs: Thumbs, inspection: Inspection, left_out: Collection[int]
) -> list[Overlap]:
    is_trained_on = inspection.is_readable
    is_trained_on[sorted(left_out)] = False
    is_readable = np.asarray([glance.reason is None for glance in glances], bool)
    groups = find_duplicates(
        [glance.sha256 for glance in (*inspection.glances, *glances)],
        np.concatenate([inspection.thumbs, thumbs]),
        np.concatenate([is_trained_on, is_readable]),
    ).groups
    own_groups = groups[len(inspection.glances) :]
    first_of_group: dict[int, int] = {}
    first_of_content: dict[str, int] = {}
    for row in np.flatnonzero(is_trained_on).tolist():
        first_of_group.setdefault(int(groups[row]), row)
        first_of_content.setdefault(inspection.glances[row].sha256, row)
    overlaps = []
    for row in np.flatnonzero(is_readable).tolist():
        exact = first_of_content.get(glances[row].sha256)
        twin = first_of_group.get(int(own_groups[row])) if exact is None else exact
        if twin is not None:
            name = shown(inspection.listing.files[twin].relative_to(inspection.listing.folder))
            overlaps.append(Overlap(shown(listing.files[row].relative_to(listing.folder)), name, exact is not None))
    return overlaps


def _are(overlaps: list[Overlap]) -> str:
    return "is" if len(overlaps) == 1 else "are"


def _lines(held_out: HeldOut, reasons: list[str | None], training_folder: Path) -> list[str]:
    listing, overlaps = held_out.listing, held_out.overlaps
    lines = [f"{len(listing.files)} images to test on, in {listing.folder}"]
    if absent := absent_classes(listing):
        more = f" and {len(absent) - _MAX_NAMED} more classes" if len(absent) > _MAX_NAMED else ""
        lines.append(f"warning: no test image of {', '.join(absent[:_MAX_NAMED])}{more}")
    if bad := [(file, reason) for file, reason in zip(listing.files, reasons, strict=True) if reason]:
        lines.append(f"warning: {len(bad)} of {len(reasons)} test files cannot be read, {bad[0][0]} first: {bad[0][1]}")
    if overlaps:
        num_exact = sum(one.is_exact for one in overlaps)
        lines.append(
            f"warning: {len(overlaps)} of {len(listing.files)} test images {_are(overlaps)} in {training_folder} too,"
            f" {num_exact} exactly and {len(overlaps) - num_exact} nearly; the network may know by heart:"
        )
        lines += [f"  {one.file} {'=' if one.is_exact else '≈'} {one.twin}" for one in overlaps[:_MAX_NAMED]]
        if len(overlaps) > _MAX_NAMED:
            lines.append(f"  and {len(overlaps) - _MAX_NAMED} more, which the report names")
    return lines
