"""Encoded images for tests, made in memory."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def scene(height: int = 60, width: int = 80, seed: int = 0) -> NDArray[np.uint8]:
    """uint8 (height, width, 3): a smooth gradient with a few random blocks, which survives lossy compression well."""
    random = np.random.default_rng(seed)
    rows, columns = np.indices((height, width))
    image = np.stack([rows * 255 // height, columns * 255 // width, (rows + columns) * 255 // (height + width)], axis=2)
    for _ in range(4):
        top, left = random.integers(0, height), random.integers(0, width)
        image[top : top + height // 3, left : left + width // 3] = random.integers(0, 256, 3)
    return image.astype(np.uint8)


def encode(
    image_format: str, image: NDArray[np.unsignedinteger] | None = None, *, seed: int = 0, **options: Any
) -> bytes:
    """The image (a scene by default) in a format that Pillow writes; options are Pillow's."""
    stream = io.BytesIO()
    Image.fromarray(scene(seed=seed) if image is None else image).save(stream, image_format, **options)
    return stream.getvalue()
