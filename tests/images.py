"""Small folders of images that tests train on: one coloured shape a class, easy enough to learn in a few steps."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_COLOURS: Final = ((220, 40, 40), (40, 60, 220), (60, 200, 60), (230, 210, 50), (200, 60, 210), (50, 210, 220))
_NAMES: Final = ("red", "blue", "green", "yellow", "violet", "cyan")


def write_image_folder(
    folder: Path,
    num_classes: int = 3,
    images_per_class: int = 8,
    size: int = 24,
    *,
    extension: str = ".png",
    first_seed: int = 0,
) -> list[str]:
    """Writes folder/<class>/NNN.png of size x size pixels; the class names, sorted, at most six."""
    names = sorted(_NAMES[:num_classes])
    for name in names:
        (folder / name).mkdir(parents=True)
        for index in range(images_per_class):
            write_image(folder / name / f"{index:03d}{extension}", name, size, seed=first_seed + index)
    return names


def write_image(path: Path, class_name: str, size: int, seed: int) -> None:
    """Writes one image of the class; the seed moves its shape and changes its noise."""
    Image.fromarray(shape_image(class_name, size, seed)).save(path)


def shape_image(class_name: str, size: int, seed: int) -> NDArray[np.uint8]:
    """uint8 (size, size, 3): a disc (even classes) or a square (odd ones) of the class's colour on grey noise."""
    index = _NAMES.index(class_name)
    random = np.random.default_rng([index, seed])
    image = random.integers(90, 160, (size, size, 3), dtype=np.uint8)
    centre = random.integers(size // 3, size - size // 3, 2)
    rows, columns = np.abs(np.indices((size, size)) - centre[:, None, None])
    is_inside = rows**2 + columns**2 < (size / 3) ** 2 if index % 2 == 0 else np.maximum(rows, columns) < size / 3
    image[is_inside] = _COLOURS[index]
    return image
