"""Generated pictures that differ like photographs, and what people do to the files of such."""

import io
from pathlib import Path

import numpy as np
from PIL import Image


def scene(seed: int, width: int = 240, height: int = 180) -> Image.Image:
    """Soft patches of colour with a few hard edges and some noise; every seed is another picture."""
    random = np.random.default_rng(seed)
    patches = Image.fromarray(random.integers(0, 256, (7, 7, 3), dtype=np.uint8))
    picture = np.asarray(patches.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    for _ in range(4):
        top, left = random.integers(0, height - 30), random.integers(0, width - 30)
        picture[top : top + random.integers(10, 60), left : left + random.integers(10, 60)] = random.integers(0, 256, 3)
    picture += random.integers(-8, 9, picture.shape)
    return Image.fromarray(picture.clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, image_format: str = "JPEG", quality: int = 90) -> bytes:
    stream = io.BytesIO()
    image.save(stream, image_format, quality=quality)
    return stream.getvalue()


def write_scenes(folder: Path, images_per_class: int = 10, class_names: tuple[str, ...] = ("cat", "dog")) -> None:
    """folder/<class>/NN.jpg, no two alike."""
    for place, name in enumerate(class_names):
        (folder / name).mkdir(parents=True)
        for index in range(images_per_class):
            (folder / name / f"{index:02d}.jpg").write_bytes(encoded(scene(1000 * place + index)))
