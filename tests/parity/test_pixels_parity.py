"""The network is served the very bytes it was trained on."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnsvc.manifest import ImageShape
from tests.encoded import encode, scene
from tests.parity.served_pixels import compare

pytestmark = pytest.mark.slow


def _write_images(folder: Path) -> int:
    """Two classes of awkward images: every format that training lists, large, small, lying, grey, CMYK, with alpha."""
    exif = Image.Exif()
    exif[0x0112] = 6
    large = scene(900, 1200)
    images = {
        "plain.jpg": encode("JPEG"),
        "large.jpg": encode("JPEG", large),
        "lying.jpg": encode("JPEG", large, exif=exif),
        "progressive.jpeg": encode("JPEG", large, progressive=True),
        "grey.jpg": encode("JPEG", large[:, :, 0]),
        "rgba.png": encode("PNG", np.dstack([large, large[:, :, 0]])),
        "deep.png": encode("PNG", large[:, :, 0].astype(np.uint16) * 257),
        "bitmap.bmp": encode("BMP"),
        "first.gif": encode("GIF"),
        "webp-inside.jpg": encode("WEBP"),
    }
    for class_name in ("a", "b"):
        (folder / class_name).mkdir(parents=True)
        for name, data in images.items():
            (folder / class_name / name).write_bytes(data)
    return 2 * len(images)


@pytest.mark.parametrize("image", [ImageShape(64, 48, 3), ImageShape(40, 200, 1)])
def test_training_and_serving_see_the_same_pixels(tmp_path: Path, image: ImageShape) -> None:
    """For every image the training cache's row equals, byte for byte, what the running server hands its engine."""
    num_images = _write_images(tmp_path / "images")
    found = compare(tmp_path / "images", image, tmp_path)
    assert len(found) == num_images
    assert [comparison.file.name for comparison in found if not comparison.is_equal] == []
