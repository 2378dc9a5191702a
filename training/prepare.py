"""From a folder to decoded images, split and judged fit to train on; what a training and a search begin with."""

import time
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from cnnsvc.errors import DatasetError
from cnnsvc.manifest import ImageShape
from training.balance import num_with_copies
from training.cache import Cache, fill_cache
from training.dataset import Listing, Split
from training.evaluate import Labels, num_majority
from training.grouped_split import split_images
from training.held_out import HeldOut, hold_out
from training.inspection.findings import findings_of, inspection_facts, shown
from training.inspection.inspection import conflicting_rows, inspect_folder
from training.inspection.text import training_lines
from training.progress import Reporter
from training.settings import TrainSettings
from training.timings import UNTIMED, Timings

_FEW_IMAGES: Final = 20
"""With fewer to validate on, one image is more than five points of accuracy."""
_MAX_NAMES: Final = 10


@dataclass(frozen=True)
class Prepared:
    listing: Listing
    """Without what was left out."""
    image: ImageShape
    cache: Cache
    inspection: dict[str, Any]
    """What was found in the folder, JSON-ready."""
    timings: Timings = UNTIMED
    held_out: HeldOut | None = None
    """What will be tested on."""


def prepare(
    listing: Listing, image: ImageShape, settings: TrainSettings, reporter: Reporter, test: Listing | None = None
) -> Prepared:
    """Inspects, splits and decodes the images, and says what a person should know. Raises DatasetError.

    Images to test on are compared with them.
    """
    started_at = time.monotonic()
    inspection = inspect_folder(listing, reporter)
    inspection_seconds = time.monotonic() - started_at
    findings = findings_of(inspection)
    for line in training_lines(findings, settings):
        reporter.say(line)
    _say_settings(settings, reporter)
    left_out = conflicting_rows(inspection) if settings.drop_conflicts else []
    grouped = inspection.grouped_without(left_out) if left_out else inspection.grouped()
    facts = inspection_facts(findings, [shown(listing.files[row].relative_to(listing.folder)) for row in left_out])
    split = split_images(grouped, settings)
    _say_data(grouped.listing, split, reporter)
    check_judgeable(split.validation.labels, settings, reporter)
    held_out = hold_out(test, inspection, left_out, reporter) if test else None
    started_at = time.monotonic()
    cache = fill_cache(grouped.listing, split, image, limit_mib=settings.cache_limit_mib, reporter=reporter)
    timings = Timings(inspection_seconds, time.monotonic() - started_at)
    _say_unreadable(grouped.listing, cache, reporter)
    if cache.unreadable:
        check_judgeable(cache.validation.labels, settings, reporter)
    _say_epoch(cache.training.labels, settings, reporter)
    return Prepared(grouped.listing, image, cache, facts, timings, held_out)


def check_judgeable(labels: Labels, settings: TrainSettings, reporter: Reporter) -> None:
    """Raises DatasetError where all images to validate on are of one class, so that a dead network gets all right.

    settings.export_dead turns it into a warning.
    """
    if num_majority(labels) < len(labels):
        return
    text = (
        f"the images to validate on, {len(labels)}, are of one class, which cannot tell whether the network learns;"
        f" expected are two classes: by more images, a --validation-split above {settings.validation_split}, or a"
        f" --seed other than {settings.seed}"
    )
    if not settings.export_dead:
        raise DatasetError(f"{text}; --export-dead trains and exports all the same")
    reporter.say(f"warning: {text}")


def _say_settings(settings: TrainSettings, reporter: Reporter) -> None:
    """Of settings that do nothing, or not what one may hope, beside others."""
    if settings.augment == "none" and settings.augment_strength != 1:
        reporter.say(f"warning: --augment-strength {settings.augment_strength:g} has no effect with --augment none")
    if settings.balance == "copies" and (settings.augment == "none" or settings.augment_strength == 0):
        reporter.say(
            "warning: --balance copies without augmentation shows the network the very same images again and again,"
            " which it may learn by heart; --balance weights needs no copies"
        )


def _say_epoch(labels: Labels, settings: TrainSettings, reporter: Reporter) -> None:
    num_images = num_with_copies(labels)
    if settings.balance == "copies" and num_images > len(labels):
        reporter.say(f"--balance copies: {num_images} images an epoch instead of {len(labels)}")


def _say_data(listing: Listing, split: Split, reporter: Reporter) -> None:
    reporter.say(
        f"{len(listing.files)} images of {len(listing.class_names)} classes in {listing.folder}:"
        f" {len(split.training.files)} to train, {len(split.validation.files)} to validate"
    )
    if listing.num_ignored:
        counts = ", ".join(f"{count} {extension}" for extension, count in listing.num_ignored.items())
        reporter.say(f"ignored by extension: {counts}")
    if len(split.validation.files) < _FEW_IMAGES:
        reporter.say(
            f"warning: fewer than {_FEW_IMAGES} images to validate on say little about accuracy, by which the best"
            " epoch is chosen; more images or a larger --validation-split help"
        )
    unseen = set(range(len(listing.class_names))).difference(np.unique(split.validation.labels).tolist())
    if unseen:
        names = ", ".join(listing.class_names[label] for label in sorted(unseen)[:_MAX_NAMES])
        more = f" and {len(unseen) - _MAX_NAMES} more classes" if len(unseen) > _MAX_NAMES else ""
        reporter.say(f"warning: no validation image of {names}{more}; their accuracy stays unknown")


def _say_unreadable(listing: Listing, cache: Cache, reporter: Reporter) -> None:
    if cache.unreadable:
        first = cache.unreadable[0]
        reporter.say(
            f"warning: {len(cache.unreadable)} of {len(listing.files)} files skipped,"
            f" {first.file} first: {first.reason}; all of them are in the report"
        )
