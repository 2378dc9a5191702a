"""A folder of images that a finished network is judged on: one sub-folder a class that the network knows."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from cnnsvc.errors import DatasetError
from training.dataset import KERAS_EXTENSIONS, Listing, class_folders, images_of

_MAX_NAMED: Final = 10


def scan_judged(folder: Path, class_names: list[str]) -> Listing:
    """Lists the images of folder/<class>/** with the network's class names; a class may be without any.

    Raises DatasetError for a sub-folder that is no class of the network, and where no class has an image.
    """
    found = class_folders(folder)
    if unknown := [name for name in found if name not in class_names]:
        raise DatasetError(
            f"{folder} has sub-folders that are no class of the network: {quoted(unknown)}; it knows"
            f" {quoted(class_names)}"
        )
    files: list[Path] = []
    labels: list[int] = []
    ignored: Counter[str] = Counter()
    for name in found:
        images, ignored_here = images_of(folder / name)
        ignored += ignored_here
        files += images
        labels += [class_names.index(name)] * len(images)
    if not files:
        raise DatasetError(
            f"{folder} has no image of any class; expected files that end in {', '.join(KERAS_EXTENSIONS)} in"
            f" sub-folders called {quoted(class_names)}"
        )
    return Listing(folder, class_names, files, np.asarray(labels, np.int32), dict(sorted(ignored.items())))


def absent_classes(listing: Listing) -> list[str]:
    """Classes of the network without a file in the folder."""
    present = set(listing.labels.tolist())
    return [name for label, name in enumerate(listing.class_names) if label not in present]


def quoted(names: Sequence[str]) -> str:
    """The first of them, for an error."""
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return ", ".join(repr(name) for name in names[:_MAX_NAMED]) + more
