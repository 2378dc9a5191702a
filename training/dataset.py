"""A folder of images with one sub-folder a class: its class names, its files, and who trains and who validates.

Nothing is decoded here (training/cache.py) and TensorFlow is not needed.
"""

import dataclasses
import math
import os
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cnnsvc.errors import DatasetError

KERAS_EXTENSIONS: Final = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
"""What keras.utils.image_dataset_from_directory lists. Source: ALLOWLIST_FORMATS of Keras 3.15."""
_MIN_IMAGES_A_CLASS: Final = 2
_UNPRINTABLE: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories: control characters, bytes that are no UTF-8, line and paragraph separators."""
_INVISIBLE: Final = "Cf"
"""Joiners and the like: Persian names and emoji hold them."""


@dataclass(frozen=True)
class Subset:
    files: list[Path]
    labels: NDArray[np.int32]
    """int32 (N,), indices into the class names."""


@dataclass(frozen=True)
class Listing:
    """Every file of the folder that counts as an image, in the order of Keras' index."""

    folder: Path
    class_names: list[str]
    files: list[Path]
    labels: NDArray[np.int32]
    num_ignored: dict[str, int]
    """Files that do not count, by extension."""


@dataclass(frozen=True)
class Split:
    training: Subset
    validation: Subset


def scan(folder: Path) -> Listing:
    """Lists the images of folder/<class>/**. Raises DatasetError where this cannot be trained on."""
    class_names = _class_names(folder)
    files: list[Path] = []
    labels: list[int] = []
    ignored: Counter[str] = Counter()
    for label, class_name in enumerate(class_names):
        images, ignored_here = images_of(folder / class_name)
        ignored += ignored_here
        _check_class(folder / class_name, len(images), ignored_here)
        files += images
        labels += [label] * len(images)
    return Listing(folder, class_names, files, np.asarray(labels, np.int32), dict(sorted(ignored.items())))


def class_folders(folder: Path) -> list[str]:
    """Names of the sub-folders that may be classes, sorted; hidden ones are none. Raises DatasetError for no folder."""
    if not folder.exists():
        raise DatasetError(f"{folder} does not exist; expected a folder with one sub-folder a class")
    if not folder.is_dir():
        raise DatasetError(f"{folder} is a file; expected a folder with one sub-folder a class")
    try:
        return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise DatasetError(f"{folder} cannot be listed: {error.strerror}") from None


def images_of(class_dir: Path) -> tuple[list[Path], Counter[str]]:
    """The files of a class that count as images, and how many do not, by extension. Raises DatasetError."""
    found = _walk(class_dir)
    images = [file for file in found if file.name.lower().endswith(KERAS_EXTENSIONS)]
    ignored = (os.fsencode(file.suffix.lower()).decode("utf-8", "replace") for file in set(found).difference(images))
    return images, Counter(extension or "(none)" for extension in ignored)  # for JSON, so no broken bytes


def split_like_keras(listing: Listing, validation_split: float, seed: int) -> Split:
    """The subsets of keras.utils.image_dataset_from_directory(validation_split=…, seed=…), in its order.

    Raises DatasetError where the validation subset would be empty or a class would have no training image.
    """
    order = list(range(len(listing.files)))
    # The legacy generator on purpose: its shuffle of a list is what Keras does.
    np.random.RandomState(seed).shuffle(order)
    place = len(order) - num_validation(listing, len(order), validation_split)
    split = Split(subset(listing, order[:place]), subset(listing, order[place:]))
    for label, class_name in enumerate(listing.class_names):
        if label not in split.training.labels:
            raise DatasetError(
                f"a validation split of {validation_split} with seed {seed} leaves class {class_name!r} without"
                " training images; expected a smaller split, another seed or more images"
            )
    return split


def num_validation(listing: Listing, num_images: int, validation_split: float) -> int:
    """How many of so many images validate. Raises DatasetError for none."""
    if number := int(validation_split * num_images):
        return number
    raise DatasetError(
        f"a validation split of {validation_split} leaves none of the {num_images} images of {listing.folder}"
        f" for validation; expected at least {math.ceil(10_000 / num_images) / 10_000}"
    )


def subset(listing: Listing, rows: Sequence[int] | NDArray[np.int64]) -> Subset:
    """These images, in this order."""
    return Subset([listing.files[row] for row in rows], listing.labels[rows])


def without(listing: Listing, rows: Collection[int]) -> Listing:
    """The other images. Raises DatasetError where a class has too few left."""
    kept = np.delete(np.arange(len(listing.files)), sorted(rows))
    counts = np.bincount(listing.labels[kept], minlength=len(listing.class_names))
    if counts.min() < _MIN_IMAGES_A_CLASS:
        raise DatasetError(
            f"class {listing.class_names[int(counts.argmin())]!r} has {counts.min()} images left without the"
            f" {len(rows)} that are left out; expected at least {_MIN_IMAGES_A_CLASS}"
        )
    left = subset(listing, kept)
    return dataclasses.replace(listing, files=left.files, labels=left.labels)


def _class_names(folder: Path) -> list[str]:
    names = class_folders(folder)
    if not names:
        raise DatasetError(f"{folder} has no sub-folders; expected one a class, with its images inside")
    if len(names) == 1:
        raise DatasetError(f"{folder} has one class only, {names[0]!r}; expected at least two sub-folders")
    _check_names(folder, names)
    return names


def _check_class(class_dir: Path, num_images: int, ignored: Counter[str]) -> None:
    if num_images >= _MIN_IMAGES_A_CLASS:
        return
    text = (
        f"class {class_dir.name!r} has {num_images} {'image' if num_images == 1 else 'images'} in {class_dir};"
        f" expected at least {_MIN_IMAGES_A_CLASS} files that end in {', '.join(KERAS_EXTENSIONS)}"
    )
    if ignored:
        counts = ", ".join(f"{count} {extension}" for extension, count in sorted(ignored.items()))
        text += f"; others do not count, such as the {counts} there"
    raise DatasetError(text)


def _check_names(folder: Path, names: list[str]) -> None:
    """Class names travel through text files, JSON and protobuf, and people must be able to tell them apart."""
    seen: dict[str, str] = {}
    for name in names:
        if any(unicodedata.category(character) in _UNPRINTABLE for character in name):
            raise DatasetError(
                f"the class folder {name!r} in {folder} has a name that cannot be printed;"
                " expected UTF-8 without control characters"
            )
        visible = "".join(character for character in name if unicodedata.category(character) != _INVISIBLE)
        normal = unicodedata.normalize("NFC", unicodedata.normalize("NFC", visible).casefold()).strip()
        if normal in seen:
            raise DatasetError(
                f"the class folders {seen[normal]!r} and {name!r} in {folder} have the same name but for case, spaces,"
                " invisible characters or Unicode spelling; expected names that differ, or one folder"
            )
        seen[normal] = name


def _walk(class_dir: Path) -> list[Path]:
    """Every file below, folders and their files sorted as text; linked folders are not entered."""

    def refuse(error: OSError) -> None:
        raise DatasetError(f"{error.filename} cannot be listed: {error.strerror}")

    walked = sorted(os.walk(class_dir, onerror=refuse), key=lambda step: step[0])
    return [Path(root, name) for root, _, names in walked for name in sorted(names)]
