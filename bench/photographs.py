"""JPEG files of the sizes that web pages, phones and cameras send, made of a folder of photographs or of nothing."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageOps

Size = tuple[int, int]
"""Width and height in pixels."""

NUM_OF_SIZE: Final[dict[Size, int]] = {(180, 180): 64, (600, 450): 32, (1440, 1080): 16, (4000, 3000): 6}
SMALL: Final[Size] = (180, 180)
LARGEST: Final[Size] = (4000, 3000)
"""So slow that those under way at the end of a load would count; it is loaded for twice as long."""
_JPEG_QUALITY: Final = 90
_SUFFIXES: Final = {".jpg", ".jpeg", ".png", ".webp"}


def photographs(folder: Path | None, num_of_size: Mapping[Size, int] = NUM_OF_SIZE) -> dict[Size, list[bytes]]:
    """For each size as many JPEG files as it says there, cropped to its proportions and scaled up or down."""
    most = max(num_of_size.values())
    images = _from_folder(folder, most) if folder else [generated(seed) for seed in range(most)]
    return {size: [_jpeg(image, size) for image in _repeated(images, num)] for size, num in num_of_size.items()}


def size_name(size: Size) -> str:
    return f"{size[0]}×{size[1]}"


def _from_folder(folder: Path, num: int) -> list[Image.Image]:
    """Spread evenly over the folder, so over its classes too."""
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in _SUFFIXES)
    if not files:
        raise SystemExit(f"{folder} holds no photograph; expected files named {', '.join(sorted(_SUFFIXES))}")
    step = max(1, len(files) // num)
    return [Image.open(file).convert("RGB") for file in files[::step][:num]]


def generated(seed: int) -> Image.Image:
    """Soft blobs of colour with fine grain, which a JPEG compresses about as a photograph."""
    generator = np.random.default_rng(seed)
    blobs = Image.fromarray(generator.integers(0, 256, (12, 16, 3), np.uint8)).resize(
        (800, 600), Image.Resampling.BICUBIC
    )
    grain = generator.normal(0, 6, (600, 800, 1))
    return Image.fromarray((np.asarray(blobs) + grain).clip(0, 255).astype(np.uint8))


def _repeated(images: list[Image.Image], num: int) -> list[Image.Image]:
    return [images[index % len(images)] for index in range(num)]


def _jpeg(image: Image.Image, size: Size) -> bytes:
    buffer = io.BytesIO()
    ImageOps.fit(image, size, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()
