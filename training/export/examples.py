"""Chooses the golden images of a bundle: the smallest validation file of each class."""

import io
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnnsvc import pixels
from cnnsvc.engines.base import Images
from cnnsvc.manifest import ImageShape
from training.originals import read_again
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
    """At most MAX_EXAMPLES files, classes spread evenly; files over 1 MiB only where there is no other.

    A file that is gone or has changed gives way to the next of its class; were all such, the first decoded image would
    be written as a new file.
    """
    files: list[bytes] = []
    names: list[str] = []
    for label, rows in _spread(_rows_by_size(validation)):
        for row in rows:
            if (content := read_again(validation, row)) is not None:
                names.append(_file_name(len(files), class_names[label], validation.files[row]))
                files.append(content)
                break
    if not files:
        names, files = ["000.png"], [_as_png(validation.images_nhwc[0])]
    decoded = [pixels.decode(file, image.height, image.width, image.channels) for file in files]
    return Examples(names, files, np.stack(decoded))


def _rows_by_size(validation: Labelled) -> dict[int, list[int]]:
    """Rows of each label, the smallest file first; no label where all files are over the limit, unless all are."""
    sizes = [_size(file) for file in validation.files]
    rows: dict[int, list[int]] = {}
    for row in np.argsort(sizes, kind="stable").tolist():
        rows.setdefault(int(validation.labels[row]), []).append(row)
    return {label: found for label, found in rows.items() if sizes[found[0]] <= MAX_EXAMPLE_BYTES} or rows


def _size(file: Path) -> float:
    try:
        return file.stat().st_size
    except OSError:
        return math.inf


def _spread(rows: dict[int, list[int]]) -> list[tuple[int, list[int]]]:
    labels = sorted(rows)
    places = np.linspace(0, len(labels) - 1, min(len(labels), MAX_EXAMPLES)).round().astype(int).tolist()
    return [(labels[place], rows[labels[place]]) for place in places]


def _as_png(image_hwc: NDArray[np.uint8]) -> bytes:
    """Without loss, and as large as the network wants it, so it decodes to the same pixels."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image_hwc[..., 0] if image_hwc.shape[2] == 1 else image_hwc)).save(
        stream, "PNG"
    )
    return stream.getvalue()


def _file_name(index: int, class_name: str, file: Path) -> str:
    """A name that every file system and archive accepts: a number, ASCII letters and digits, the file's ending."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", class_name).strip("-")[:40]
    ending = re.sub(r"[^a-z0-9.]", "", file.suffix.lower())
    return f"{index:03d}_{plain}{ending}" if plain else f"{index:03d}{ending}"
