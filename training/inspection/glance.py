"""One look at each file of a folder: its hash, its format by content, its size, and 16 x 16 pixels to compare it by."""

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnnsvc import pixels
from cnnsvc.engines.threads import available_cpus
from cnnsvc.errors import ImageError, TooLargeError
from cnnsvc.exif import jpeg_orientation
from training.originals import read_file, sha256_of
from training.progress import Reporter

Thumbs = NDArray[np.uint8]
"""uint8 (N, 16, 16, 3)"""

THUMB_SIDE: Final = 16
# Decoded larger than compared: at 1/8, which 16 would mean, a JPEG's cut-off last block counts as a whole one, which
# shifts all others against the same picture of another size.
_DECODED_SIDE: Final = 4 * THUMB_SIDE
_SINGLE_COLOUR_LEVELS: Final = 4
"""Most that each channel of a single-colour image differs from itself, of 255."""
_MAX_THREADS: Final = 16
_SIGNATURES: Final = (
    ("JPEG", 0, b"\xff\xd8\xff"),
    ("PNG", 0, b"\x89PNG\r\n\x1a\n"),
    ("GIF", 0, b"GIF8"),
    ("BMP", 0, b"BM"),
    ("WebP", 8, b"WEBP"),
    ("TIFF", 0, b"II*\x00"),
    ("TIFF", 0, b"MM\x00*"),
    ("HEIC", 4, b"ftyphei"),
    ("AVIF", 4, b"ftypavi"),
    ("PDF", 0, b"%PDF"),
)
UNKNOWN: Final = "unknown"


@dataclass(frozen=True)
class Glance:
    format: str
    """By content: JPEG, PNG, GIF, BMP, WebP, or one that is not decoded here; unknown."""
    sha256: str
    """Of the content; empty where there is none to be had."""
    width: int
    height: int
    """Upright, 0 where the file is no image."""
    is_single_colour: bool
    reason: str | None
    """Why it is no image; None where it is one."""


def glance_all(files: list[Path], reporter: Reporter) -> tuple[list[Glance], Thumbs]:
    """A glance and a thumb a file; the thumb of an unreadable one is black."""
    thumbs = np.zeros((len(files), THUMB_SIDE, THUMB_SIDE, 3), np.uint8)

    def glance_at(row: int) -> Glance:
        return _glance(files[row], thumbs[row])

    pool = ThreadPoolExecutor(min(available_cpus(), _MAX_THREADS), thread_name_prefix="inspect")
    glances = []
    try:
        with reporter.bar("inspecting", len(files)) as advance:
            for glance in pool.map(glance_at, range(len(files))):
                glances.append(glance)
                advance(1)
    finally:
        pool.shutdown(cancel_futures=True)  # on Ctrl-C the files not begun are left alone
    return glances, thumbs


def format_of(content: bytes) -> str:
    """The format that the first bytes name."""
    return next((name for name, at, sign in _SIGNATURES if content[at : at + len(sign)] == sign), UNKNOWN)


def thumb_of(image_hwc: pixels.Pixels) -> NDArray[np.uint8]:
    """uint8 (16, 16, 3): the means of the squares of an image of 64 x 64."""
    by = _DECODED_SIDE // THUMB_SIDE
    squares = image_hwc.reshape(THUMB_SIDE, by, THUMB_SIDE, by, 3)
    thumb: NDArray[np.uint8] = ((squares.sum(axis=(1, 3), dtype=np.uint32) + by * by // 2) // (by * by)).astype(
        np.uint8
    )
    return thumb


def _glance(file: Path, thumb: NDArray[np.uint8]) -> Glance:
    sha256, found = "", UNKNOWN
    try:
        content = read_file(file)
        sha256, found = sha256_of(content), format_of(content)
        image = pixels.decode(content, _DECODED_SIDE, _DECODED_SIDE, 3)
    except (ImageError, TooLargeError) as error:
        return Glance(found, sha256, 0, 0, False, str(error))
    thumb[:] = thumb_of(image)
    spread = np.ptp(image.reshape(-1, 3), axis=0).max()
    return Glance(found, sha256, *_size(content), bool(spread <= _SINGLE_COLOUR_LEVELS), None)


def _size(content: bytes) -> tuple[int, int]:
    """Width and height by the header of an image that could be decoded."""
    with Image.open(io.BytesIO(content)) as image:
        width, height = image.size
        is_on_its_side = image.format in ("JPEG", "MPO") and jpeg_orientation(content) >= 5
    return (height, width) if is_on_its_side else (width, height)
