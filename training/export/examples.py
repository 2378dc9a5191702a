"""Chooses the golden images of a bundle: the smallest validation file of each class."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from cnnsvc import pixels
from cnnsvc.engines.base import Images
from cnnsvc.manifest import ImageShape
from training.trained import Labelled

MAX_EXAMPLES: Final = 16
MAX_EXAMPLE_BYTES: Final = 2**20


@dataclass(frozen=True)
class Examples:
    names: list[str]
    """File names in the bundle, such as 000_tulip.jpg."""
    files: list[bytes]
    """Encoded, as they were."""
    images_nhwc: Images
    """uint8 (N, H, W, C), as the server will decode them."""


def choose_examples(validation: Labelled, class_names: list[str], image: ImageShape) -> Examples:
    """At most MAX_EXAMPLES files, classes spread evenly; files over 1 MiB only where there is no other."""
    smallest: dict[int, Path] = {}
    sizes = [file.stat().st_size for file in validation.files]
    for row in np.argsort(sizes, kind="stable"):
        smallest.setdefault(int(validation.labels[row]), validation.files[row])
    small = {label: file for label, file in smallest.items() if file.stat().st_size <= MAX_EXAMPLE_BYTES} or smallest
    labels = sorted(small)
    places = np.linspace(0, len(labels) - 1, min(len(labels), MAX_EXAMPLES)).round().astype(int)
    chosen = [labels[place] for place in places]
    files = [small[label].read_bytes() for label in chosen]
    names = [_file_name(index, class_names[label], small[label]) for index, label in enumerate(chosen)]
    decoded = [pixels.decode(file, image.height, image.width, image.channels) for file in files]
    return Examples(names, files, np.stack(decoded))


def _file_name(index: int, class_name: str, file: Path) -> str:
    """A name that every file system and archive accepts: a number, ASCII letters and digits, the file's ending."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", class_name).strip("-")[:40]
    ending = re.sub(r"[^a-z0-9.]", "", file.suffix.lower())
    return f"{index:03d}_{plain}{ending}" if plain else f"{index:03d}{ending}"
