"""The images that a load sends: those of a user, as many as memory should hold, or a few made here."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from cnnsvc.classification import read_image
from cnnsvc.client_messages import sized
from cnnsvc.errors import CnnsvcError, InvalidError
from cnnsvc.image_files import image_files

MEMORY_LIMIT_BYTES: Final = 128 * 1024 * 1024
DEFAULT_SIZE: Final = "180x180"
_SIZE: Final = re.compile(r"(\d{1,4})[x×](\d{1,4})")
_NUM_MADE: Final = 4
_MAX_SIDE: Final = 4096


@dataclass(frozen=True)
class LoadImages:
    images: list[bytes]
    description: str
    """Such as "3 of 5,000 images, 8.7 KB each in the mean"."""


def read_images(paths: Sequence[Path], limit_bytes: int = MEMORY_LIMIT_BYTES) -> LoadImages:
    """The image files below the paths; of more than `limit_bytes` evenly spread ones, since folders are often sorted.

    Raises InvalidError where a path holds none or one cannot be read or sent.
    """
    files = image_files(paths)
    num_bytes = sum(file.stat().st_size for file in files)
    step = max(1, -(-num_bytes // limit_bytes))
    images = [_read(file) for file in files[::step]]
    return LoadImages(
        images,
        _description(images, f"of {len(files):,} images" if step > 1 else "image" if len(images) == 1 else "images"),
    )


def make_images(size: str = DEFAULT_SIZE) -> LoadImages:
    """A few JPEGs of WIDTHxHEIGHT pixels, of a photograph's bytes a pixel. Raises InvalidError for another `size`."""
    found = _SIZE.fullmatch(size)
    width, height = map(int, found.groups()) if found else (0, 0)
    if not (1 <= width <= _MAX_SIDE and 1 <= height <= _MAX_SIDE):
        raise InvalidError(
            f"--size is {size!r}; expected WIDTHxHEIGHT in pixels, 1 to {_MAX_SIDE} each, such as {DEFAULT_SIZE}"
        )
    images = [_make_image(width, height, seed) for seed in range(_NUM_MADE)]
    return LoadImages(images, _description(images, f"made JPEGs of {width}x{height}"))


def _read(file: Path) -> bytes:
    try:
        return sized(read_image(file))
    except CnnsvcError as error:
        raise InvalidError(f"{file}: {error}") from None


def _make_image(width: int, height: int, seed: int) -> bytes:
    """Coloured waves with grain: noise alone would give three times the bytes, and gradients alone a tenth."""
    random = np.random.default_rng(seed)
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    columns = np.linspace(0, 1, width, dtype=np.float32)[None, :, None]
    down, across, phase = random.uniform((5, 5, 0), (30, 30, 6), (3, 3)).T.astype(np.float32)
    waves = np.sin(rows * down + columns * across + phase)
    grain = 7 * random.standard_normal((height, width, 1), np.float32)
    pixels = np.clip(128 + 90 * waves + grain, 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=85)
    return stream.getvalue()


def _description(images: list[bytes], what: str) -> str:
    mean_bytes = sum(map(len, images)) / len(images)
    return f"{len(images):,} {what}, {mean_bytes / 1000:,.1f} KB each in the mean"
