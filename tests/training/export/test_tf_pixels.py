"""TensorFlow's decoding against cnnsvc.pixels, format by format."""

import functools
import io
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image

from cnnsvc import pixels
from cnnsvc.manifest import ImageShape
from tests.encoded import encode, scene
from training.export.tf_exif import jpeg_orientation
from training.export.tf_pixels import decode_batch

pytestmark = pytest.mark.slow

HEIGHT, WIDTH = 24, 32


@functools.cache
def graph(channels: int) -> Any:
    shape = ImageShape(HEIGHT, WIDTH, channels)
    signature = [tf.TensorSpec((None,), tf.string)]
    return tf.function(lambda image_bytes: decode_batch(image_bytes, shape), input_signature=signature)


def differences(image_bytes: bytes, channels: int = 3) -> NDArray[np.float64]:
    """Absolute differences from cnnsvc.pixels, of whole values 0..255."""
    found = graph(channels)(tf.constant([image_bytes])).numpy()[0]
    np.testing.assert_array_equal(found, found.astype(np.uint8))
    expected = pixels.decode(image_bytes, HEIGHT, WIDTH, channels)
    return np.array(np.abs(found - expected.astype(np.float64)))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("eighths", [1, 2, 4, 8])
def test_jpegs_at_scales_that_both_decoders_have(eighths: int, channels: int) -> None:
    """At 1, 2, 4 and 8 eighths of their size JPEGs are nearly equal: columns are rounded and then rows, each by 1."""
    image = scene(HEIGHT * 8 // eighths + 5, WIDTH * 8 // eighths + 3)
    found = differences(encode("JPEG", image, quality=90), channels)
    assert found.mean() < 0.1
    assert found.max() <= 2


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("eighths", [3, 5, 6, 7])
def test_jpegs_at_scales_that_only_ours_has(eighths: int, channels: int) -> None:
    """At the scales in between they differ by rounding, and at hard edges of full colours by what clipping cuts."""
    image = scene(HEIGHT * 8 // eighths + 2, WIDTH * 8 // eighths + 1)
    found = differences(encode("JPEG", image, quality=95, subsampling=0), channels)
    assert found.mean() < 0.6
    assert found.max() <= 20


def test_a_jpeg_that_grows() -> None:
    """A JPEG smaller than the target along one axis or both is equal to within 1."""
    for height, width in ((11, 17), (11, 90), (70, 17)):
        assert differences(encode("JPEG", scene(height, width))).max() <= 1


def exif_jpeg(orientation: int, byte_order: str = "<") -> bytes:
    """A JPEG whose EXIF directory holds another tag before the orientation."""
    exif = Image.Exif()
    exif.endian = byte_order
    exif[0x010F] = "maker"
    exif[0x0112] = orientation
    return encode("JPEG", scene(72, 64), exif=exif, quality=90)


@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations(orientation: int, byte_order: str) -> None:
    """Every EXIF orientation is turned upright, in either byte order."""
    assert differences(exif_jpeg(orientation, byte_order)).max() <= 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Exif\0\0", b"Exif\0\1"),
        (b"\x12\x01\x03\x00", b"\x12\x01\x04\x00"),
        (b"\x12\x01\x03\x00\x01", b"\x12\x01\x03\x00\x02"),
        (b"\x01\x00\x00\x00\x06\x00", b"\x01\x00\x00\x00\x09\x00"),
        (b"II*\0\x08\0\0\0", b"II*\0\xff\xff\xff\xff"),
        (b"II*\0\x08\0\0\0\x02\0", b"II*\0\x08\0\0\0\0\0"),
    ],
    ids=["no header", "not a short", "two values", "value 9", "directory far away", "empty directory"],
)
def test_broken_orientations(old: bytes, new: bytes) -> None:
    """EXIF that makes no sense leaves the picture as it is stored, and breaks nothing."""
    sound = exif_jpeg(6)
    assert sound.count(old) == 1
    assert int(jpeg_orientation(tf.constant(sound))) == 6
    assert int(jpeg_orientation(tf.constant(sound.replace(old, new)))) == 1


def rgba(image: NDArray[np.uint8]) -> Image.Image:
    with_alpha = Image.fromarray(image).convert("RGBA")
    with_alpha.putalpha(100)
    return with_alpha


def others() -> dict[str, bytes]:
    """The scene in every format but JPEG and every mode of it."""
    image = scene(60, 80)
    rgb = Image.fromarray(image)
    deep = Image.fromarray(image[..., 0].astype(np.uint16) * 257)
    grey = rgb.convert("L")
    pictures: list[tuple[str, str, Image.Image]] = [
        *[("PNG", mode, rgb.convert(mode)) for mode in ("RGB", "P", "1")],
        *[("PNG", "16", deep), ("PNG", "RGBA", rgba(image)), ("PNG", "LA", rgba(image).convert("LA"))],
        *[
            ("GIF", "RGB", rgb),
            ("BMP", "RGB", rgb),
            ("BMP", "L", grey),
            ("BMP", "P", rgb.convert("P")),
            ("BMP", "RGBA", rgba(image)),
        ],
        *[("WEBP", "RGB", rgb), ("WEBP", "RGBA", rgba(image))],
    ]
    files = {}
    for image_format, mode, picture in pictures:
        stream = io.BytesIO()
        picture.save(stream, image_format)
        files[f"{image_format} {mode}"] = stream.getvalue()
    return files


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("kind", "image_bytes"), others().items(), ids=others().keys())
def test_other_formats(kind: str, image_bytes: bytes, channels: int) -> None:
    """PNG, GIF, BMP and WebP, with alpha, palette, 16 bits or grey, are equal to within rounding."""
    assert differences(image_bytes, channels).max() <= 1


def test_the_first_frame_of_an_animation() -> None:
    """An animated GIF shows its first frame."""
    frames = [Image.fromarray(scene(60, 80, seed)) for seed in (1, 2)]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    assert differences(stream.getvalue()).max() <= 1


def animated_webp() -> bytes:
    frames = [Image.fromarray(scene(20, 30, seed)) for seed in (1, 2)]
    stream = io.BytesIO()
    frames[0].save(stream, "WEBP", save_all=True, append_images=frames[1:])
    return stream.getvalue()


def palette_bmp(position: int, value: int) -> bytes:
    """A BMP of 256 colours with another value in its header."""
    stream = io.BytesIO()
    Image.fromarray(scene(20, 30)).convert("P").save(stream, "BMP")
    return stream.getvalue()[:position] + bytes([value]) + stream.getvalue()[position + 1 :]


@pytest.mark.parametrize(
    "image_bytes",
    [
        b"",
        b"BM",
        palette_bmp(28, 4),
        palette_bmp(30, 1),
        b"no image",
        animated_webp(),
        encode("JPEG")[:200],
        encode("PNG")[:200],
    ],
    ids=[
        "empty",
        "BMP of 2 bytes",
        "BMP of 16 colours",
        "compressed BMP",
        "text",
        "animated WebP",
        "half a JPEG",
        "half a PNG",
    ],
)
def test_what_cannot_be_decoded(image_bytes: bytes) -> None:
    """Bytes that TensorFlow cannot decode fail the call and leave the process alone."""
    with pytest.raises(tf.errors.InvalidArgumentError):
        graph(3)(tf.constant([image_bytes]))


def test_a_batch_of_different_files() -> None:
    """Files of different sizes and formats go through in one call, in order."""
    files = [encode("PNG", scene(30, 40, 1)), encode("JPEG", scene(99, 50, 2)), encode("BMP", scene(10, 10, 3))]
    together = graph(3)(tf.constant(files)).numpy()
    for row, file in enumerate(files):
        np.testing.assert_array_equal(together[row], graph(3)(tf.constant([file])).numpy()[0])
