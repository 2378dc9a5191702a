"""What an inspection says, JSON-ready: what `cnnsvc inspect --json` prints, field by field."""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from cnnsvc.errors import DatasetError
from training.grouped_split import split_grouped
from training.inspection.inspection import Inspection
from training.settings import TrainSettings

TINY_SIDE: Final = 16
"""Below this width or height a file is tiny."""
IMBALANCED_RATIO: Final = 3.0
"""From here on the largest class outweighs the smallest so much that it is said."""
_ENDINGS: Final = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".bmp": "BMP", ".gif": "GIF"}


@dataclass(frozen=True)
class ClassCount:
    name: str
    num_images: int
    """Readable ones."""
    num_unreadable: int


@dataclass(frozen=True)
class Size:
    width: int
    height: int
    num_images: int


@dataclass(frozen=True)
class WrongEnding:
    file: str
    format: str
    """What it holds."""


@dataclass(frozen=True)
class BadFile:
    file: str
    reason: str


@dataclass(frozen=True)
class Findings:
    """Files are named relative to the folder, their class first."""

    folder: str
    num_files: int
    num_images: int
    """Files that can be decoded."""
    classes: list[ClassCount]
    imbalance: float | None
    """Images of the largest class by those of the smallest; null where that has none."""
    formats: dict[str, int]
    """Files by content."""
    sizes: list[Size]
    """The smallest by pixels, the most frequent, the largest."""
    num_sizes: int
    ignored: dict[str, int]
    """Files that do not count, by extension."""
    unreadable: list[BadFile]
    wrong_endings: list[WrongEnding]
    exact_duplicates: list[list[str]]
    """Groups of files of the same bytes."""
    near_duplicates: list[list[str]]
    """Groups of files of nearly the same pixels, exact copies of them included."""
    exact_conflicts: list[list[str]]
    """Those exact duplicates that lie in several classes."""
    near_conflicts: list[list[str]]
    """Pairs of near duplicates in two classes."""
    single_colour: list[str]
    tiny: list[str]
    """Less than 16 pixels wide or high."""
    obstacle: str | None
    """Why the folder cannot be trained on with the default settings; null where it can."""


def findings_of(inspection: Inspection) -> Findings:
    """Decides nothing that inspection has not: counts and names."""
    listing, glances, duplicates = inspection.listing, inspection.glances, inspection.duplicates
    names = [shown(file.relative_to(listing.folder)) for file in listing.files]
    classes = _classes(inspection)
    counts = [one.num_images for one in classes]
    readable = [row for row, glance in enumerate(glances) if glance.reason is None]

    def named(groups: Iterable[Iterable[int]]) -> list[list[str]]:
        return [[names[row] for row in group] for group in groups]

    return Findings(
        folder=shown(listing.folder),
        num_files=len(names),
        num_images=len(readable),
        classes=classes,
        imbalance=max(counts) / min(counts) if min(counts) else None,
        formats=dict(Counter(glance.format for glance in glances).most_common()),
        sizes=_sizes(inspection),
        num_sizes=len({(glances[row].width, glances[row].height) for row in readable}),
        ignored=listing.num_ignored,
        unreadable=[BadFile(name, one.reason) for name, one in zip(names, glances, strict=True) if one.reason],
        wrong_endings=[
            WrongEnding(names[row], glances[row].format)
            for row in readable
            if _ENDINGS[listing.files[row].suffix.lower()] != glances[row].format
        ],
        exact_duplicates=named(duplicates.exact),
        near_duplicates=named(_near_groups(inspection)),
        exact_conflicts=named(inspection.exact_conflicts),
        near_conflicts=named(inspection.near_conflicts),
        single_colour=[names[row] for row in readable if glances[row].is_single_colour],
        tiny=[names[row] for row in readable if min(glances[row].width, glances[row].height) < TINY_SIDE],
        obstacle=_obstacle(inspection),
    )


def inspection_facts(findings: Findings, left_out: list[str]) -> dict[str, Any]:
    """What the record of a training keeps of them: counts, and the files that were left out."""
    return {
        "exact_duplicates": sum(len(files) - 1 for files in findings.exact_duplicates),
        "near_duplicate_groups": len(findings.near_duplicates),
        "exact_conflicts": len(findings.exact_conflicts),
        "near_conflicts": len(findings.near_conflicts),
        "wrong_endings": len(findings.wrong_endings),
        "single_colour": len(findings.single_colour),
        "tiny": len(findings.tiny),
        "imbalance": findings.imbalance,
        "formats": findings.formats,
        "left_out": left_out,
    }


def shown(path: Path) -> str:
    """Text for JSON; bytes of a name that are no UTF-8 become question marks."""
    return os.fsencode(path).decode("utf-8", "replace")


def _classes(inspection: Inspection) -> list[ClassCount]:
    listing = inspection.listing
    totals = np.bincount(listing.labels, minlength=len(listing.class_names))
    images = np.bincount(listing.labels[inspection.is_readable], minlength=len(listing.class_names))
    return [
        ClassCount(name, num_images, total - num_images)
        for name, num_images, total in zip(listing.class_names, images.tolist(), totals.tolist(), strict=True)
    ]


def _sizes(inspection: Inspection) -> list[Size]:
    counts = Counter((one.width, one.height) for one in inspection.glances if one.reason is None)
    if not counts:
        return []
    by_pixels = sorted(counts, key=lambda size: (size[0] * size[1], size))
    frequent = max(by_pixels, key=lambda size: counts[size])
    return [Size(*size, counts[size]) for size in dict.fromkeys((by_pixels[0], frequent, by_pixels[-1]))]


def _near_groups(inspection: Inspection) -> list[list[int]]:
    """Whole groups, where they are more than exact copies."""
    groups = inspection.duplicates.groups
    linked = {int(groups[row]) for pair in inspection.duplicates.near for row in pair}
    rows_of: dict[int, list[int]] = {group: [] for group in sorted(linked)}
    for row, group in enumerate(groups.tolist()):
        if group in rows_of:
            rows_of[group].append(row)
    return list(rows_of.values())


def _obstacle(inspection: Inspection) -> str | None:
    for one in _classes(inspection):
        if not one.num_images:
            return f"class {one.name!r} has no readable image; {one.num_unreadable} of its files cannot be read"
    defaults = TrainSettings()
    try:
        split = split_grouped(inspection.grouped(), defaults.validation_split, defaults.seed)
    except DatasetError as error:
        return str(error)
    if len(np.unique(split.validation.labels)) == 1:
        return f"the images to validate on, {len(split.validation.files)}, are of one class; expected are two classes"
    return None
