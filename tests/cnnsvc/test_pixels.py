"""The pixel function: every format and every awkward file, to the same promise."""

import base64
import io
import resource
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from cnnsvc.errors import ImageError, InvalidError, TooLargeError
from cnnsvc.pixels import DECODERS, PIXELS_VERSION, decode, decoder
from tests.encoded import encode, scene

LOSSLESS = ["PNG", "BMP", "GIF", "WEBP"]


def _lossless(image_format: str, image: np.ndarray) -> bytes:
    return encode(image_format, image, **({"lossless": True} if image_format == "WEBP" else {}))


@pytest.mark.parametrize("image_format", ["PNG", "BMP", "WEBP"])
def test_lossless_formats_come_out_bit_for_bit(image_format: str) -> None:
    """At its own size a losslessly stored image keeps every value."""
    assert np.array_equal(decode(_lossless(image_format, scene()), 60, 80, 3), scene())


@pytest.mark.parametrize("image_format", [*LOSSLESS, "JPEG"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(60, 80), (24, 32), (90, 200), (30, 200), (1, 1)])
def test_every_format_takes_every_target(image_format: str, channels: int, size: tuple[int, int]) -> None:
    """The result has the asked shape, is uint8, contiguous and owned by the caller."""
    pixels = decode(encode(image_format), *size, channels)
    assert pixels.shape == (*size, channels)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("size", [(60, 80), (20, 36)])
def test_exif_orientation_is_obeyed(orientation: int, image_format: str, size: tuple[int, int]) -> None:
    """A file stored rotated or mirrored, with the tag that says so, gives nearly the pixels of the upright one."""
    undo = {5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, orientation)
    exif = Image.Exif()
    exif[0x0112] = undo
    stored = _stored_as(scene(240, 320), undo)
    found = decode(encode(image_format, stored, exif=exif, quality=95), *size, 3)
    upright = decode(encode(image_format, scene(240, 320), quality=95), *size, 3)
    assert np.abs(found.astype(int) - upright).mean() < 3


def _stored_as(image: np.ndarray, orientation: int) -> np.ndarray:
    """The image as a file with this tag stores it: the inverse of what Pillow does to show it."""
    inverse = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    return image if inverse is None else np.asarray(Image.fromarray(image).transpose(inverse))


def test_jpeg_decoded_small_shows_the_same_picture() -> None:
    """Scaling in the DCT changes details only: the mean difference from full decoding and averaging stays small."""
    jpeg = encode("JPEG", scene(1200, 1600), quality=90)
    reference = np.asarray(Image.open(io.BytesIO(jpeg)).resize((160, 120), Image.Resampling.BOX))
    assert np.abs(decode(jpeg, 120, 160, 3).astype(int) - reference).mean() < 2


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_at_its_own_size_equals_pillow(subsampling: str, progressive: bool) -> None:
    """Without scaling a JPEG decodes to the bits that Pillow's libjpeg-turbo gives."""
    jpeg = encode("JPEG", subsampling=subsampling, progressive=progressive)
    assert np.array_equal(decode(jpeg, 60, 80, 3), np.asarray(Image.open(io.BytesIO(jpeg))))


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("L", (100, 100, 100)), ("1", (255, 255, 255)), ("P", (255, 0, 0)), ("RGBA", (10, 20, 30)), ("LA", (100,) * 3),
        ("I;16", (0x12, 0x12, 0x12)),
    ],
)  # fmt: skip
def test_png_modes_come_to_rgb(mode: str, expected: tuple[int, int, int]) -> None:
    """Grey, bilevel, palette, alpha (dropped) and 16-bit grey (high byte) become three channels of 8 bits."""
    colours = {"L": 100, "1": 1, "RGBA": (10, 20, 30, 0), "LA": (100, 7), "I;16": 0x1234, "P": 0}
    image = Image.new(mode, (16, 16), colours[mode])  # type: ignore[arg-type]  # a colour's type depends on the mode
    if mode == "P":
        image.putpalette([255, 0, 0])
    stream = io.BytesIO()
    image.save(stream, "PNG")
    assert np.array_equal(decode(stream.getvalue(), 16, 16, 3), np.full((16, 16, 3), expected, np.uint8))


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    """A 16-bit gradient spans 0 to 255, in one channel and in three."""
    stream = io.BytesIO()
    Image.fromarray(np.linspace(0, 65535, 256).astype(np.uint16).reshape(1, 256)).save(stream, "PNG")
    for channels in (1, 3):
        assert np.array_equal(decode(stream.getvalue(), 1, 256, channels)[0, :, 0], np.arange(256))


def test_cmyk_jpeg_is_read() -> None:
    """A CMYK JPEG, which libjpeg-turbo hands on to Pillow, gives its colour."""
    stream = io.BytesIO()
    Image.new("CMYK", (32, 32), (0, 255, 255, 0)).save(stream, "JPEG")
    assert np.abs(decode(stream.getvalue(), 8, 8, 3).astype(int) - (255, 0, 0)).max() < 8


def test_animations_give_their_first_frame() -> None:
    """Of an animated GIF or WebP only the first frame counts."""
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "green")]
    for image_format in ("GIF", "WEBP", "PNG"):
        stream = io.BytesIO()
        frames[0].save(stream, image_format, save_all=True, append_images=frames[1:])
        assert np.abs(decode(stream.getvalue(), 4, 4, 3).astype(int) - (255, 0, 0)).max() < 8


@pytest.mark.parametrize("image_format", [*LOSSLESS, "JPEG"])
def test_truncated_files_are_refused(image_format: str) -> None:
    """A file cut in half is an ImageError, not half a picture."""
    data = encode(image_format, scene(300, 400))
    with pytest.raises(ImageError, match=r"cannot be decoded|not an image"):
        decode(data[: len(data) // 2], 24, 24, 3)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"hello, world", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\x00\x00\x00\x00WEBP",
        b"BM" + b"\0" * 60, b"\0" * 100, b"II*\0" + b"\0" * 50, b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    ],
)  # fmt: skip
def test_what_is_no_image_is_named(data: bytes) -> None:
    """Anything else is an ImageError that says how much came."""
    with pytest.raises(ImageError, match=f"{len(data)} bytes"):
        decode(data, 24, 24, 3)


def _png_claiming(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + b"\0\0\0\0IDAT"


def _claiming(image_format: str, size: int) -> bytes:
    """A small file whose header claims size x size pixels."""
    if image_format == "PNG":
        return _png_claiming(size, size)
    if image_format == "GIF":
        return (
            b"GIF89a"
            + struct.pack("<HH", size, size)
            + b"\0\0\0"
            + b","
            + struct.pack("<HHHH", 0, 0, size, size)
            + b"\0\2\0"
        )
    data = bytearray(encode(image_format))
    if image_format == "BMP":
        data[18:26] = struct.pack("<ii", size, size)
        return bytes(data)
    start = data.index(b"\xff\xc0")
    data[start + 5 : start + 9] = struct.pack(">HH", size, size)
    return bytes(data)


def test_a_gif_whose_frame_leaves_its_screen_costs_no_memory() -> None:
    """Pillow would fill that frame's background before anybody has seen its size; found by fuzzing."""
    screen, disposal = struct.pack("<HHBBB", 8, 8, 0, 0, 0), b"!\xf9\x04\x08\0\0\0\0"
    frame = b"," + struct.pack("<HHHHB", 0, 0, 60_000, 60_000, 0) + b"\x02\x02\x44\x01\x00;"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TooLargeError, match="has 3600000000 pixels; allowed are 50000000"):
        decode(b"GIF89a" + screen + disposal + frame, 24, 32, 3)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "GIF", "BMP"])
def test_bombs_are_refused_by_their_header(image_format: str) -> None:
    """A claim of 30,000 x 30,000 pixels is refused with both numbers before anything is decoded, without a warning."""
    with pytest.raises(TooLargeError, match=r" 900000000 pixels; allowed are 50000000"):
        decode(_claiming(image_format, 30_000), 24, 24, 3)


def test_the_limit_is_exact() -> None:
    """An image of exactly the limit passes; one pixel less allowed refuses it."""
    jpeg = encode("JPEG")
    decode(jpeg, 8, 8, 3, limit_pixels=60 * 80)
    with pytest.raises(TooLargeError):
        decode(jpeg, 8, 8, 3, limit_pixels=60 * 80 - 1)


def test_harmless_faults_of_a_jpeg_are_forgiven() -> None:
    """Stray bytes behind the picture, which browsers ignore, do not refuse it."""
    jpeg = encode("JPEG")
    assert np.array_equal(decode(jpeg + b"trailing", 24, 32, 3), decode(jpeg, 24, 32, 3))


def test_the_version_is_known() -> None:
    """The version written into new bundles is one that can be decoded; an unknown one is refused by name."""
    assert decoder(PIXELS_VERSION) is DECODERS[PIXELS_VERSION] is decode
    with pytest.raises(InvalidError, match="pixels version 99 is unknown"):
        decoder(99)


def test_version_1_says_which_extra_it_needs() -> None:
    """Without OpenCV the current version works, and version 1 is refused with what to install."""
    code = """
import sys
sys.modules["cv2"] = None
from cnnsvc.errors import UnsupportedError
from cnnsvc.pixels import decoder
decoder(2)
for _ in range(2):
    try:
        decoder(1)
    except UnsupportedError as error:
        print(error)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (refusal,) = set(found.stdout.splitlines())
    assert refusal.startswith("pixels version 1 needs OpenCV, which is not installed (")
    assert "pip install 'cnnsvc[opencv]'" in refusal


_JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABQODxIPDRQSEBIXFRQYHjIhHhwcHj0sLiQySUBMS0dARkVQWnNiUFVtVkVGZIhlbXd7gYKBTmCNl4x9"
    "lnN+gXz/2wBDARUXFx4aHjshITt8U0ZTfHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHz/wAARCAAwAEAD"
    "ASIAAhEBAxEB/8QAGQABAQEBAQEAAAAAAAAAAAAABAIDAQYA/8QAIhABAQEAAgEDBQEAAAAAAAAAAgABAxExBEFxEiJCUZFh/8QAGgEAAgMBAQAA"
    "AAAAAAAAAAAAAwQBBQYAAv/EAB4RAAIDAQACAwAAAAAAAAAAAAABAgMREgQxIVHw/9oADAMBAAIRAxEAPwDy/pRnS7zN8eckfSc8Zn8s+DOs21rj"
    "xop1LV+0XtWTaPvEriPZz4iz+A/YfjIHmxSisQLno0BkA0gyAasF51lgyAaQZANApOs8Xxm3Azfa4DIBjdNembCdS+jo4jv45/JPGOszMykGQDQ2"
    "37FJ1FgyAaQZAN4FJ1lgyAaQbYoHekzm/wC7dmik6zxgMkGgGSDENjOsoGQDSDIBoFJ1lg3c5dz2y1BjxqYqW6V98ecNs9S89jQ3vI9W9d7+qKuM"
    "JroHVvXjM7mFGMflCrR//9k="
)
"""A scene of 48 x 64 pixels, kept as bytes since encoders change."""


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (1, [2491744103, 3690451844, 3231827054, 3761654036, 2350908503, 3108415157]),
        (2, [1653374151, 3431764772, 677974911, 3761654036, 3614624076, 2184021275]),
    ],
)
def test_a_version_keeps_its_bytes(version: int, expected: list[int]) -> None:
    """The bytes of a version never change: a change of these checksums needs a new version of the pixel function."""
    png, decode_it = encode("PNG"), decoder(version)
    found = [
        decode_it(png, 24, 32, 3), decode_it(png, 90, 100, 1), decode_it(png, 120, 7, 3),
        decode_it(_JPEG, 48, 64, 3), decode_it(_JPEG, 13, 17, 3), decode_it(_JPEG, 20, 70, 1),
    ]  # fmt: skip
    assert [zlib.crc32(pixels.tobytes()) for pixels in found] == expected


def test_a_jpeg_of_many_scans_is_refused() -> None:
    """Scans repeated without end, a few bytes each and as slow as a picture, are refused before one is decoded."""
    jpeg = encode("JPEG", scene(64, 64), progressive=True)
    last_scan = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    assert decode(jpeg[:-2] + last_scan * 20 + jpeg[-2:], 8, 8, 3).shape == (8, 8, 3)
    with pytest.raises(TooLargeError, match=r"the JPEG has \d+ scans .* allowed are 64 scans"):
        decode(jpeg[:-2] + last_scan * 100 + jpeg[-2:], 8, 8, 3)
    with pytest.raises(TooLargeError, match="pixels in all of them"):
        decode(jpeg[:-2] + last_scan * 20 + jpeg[-2:], 8, 8, 3, limit_pixels=64 * 64)


def test_unusual_subsampling_is_read() -> None:
    """4:4:1, for which the fast decoder has no name, is Pillow's to decode."""
    jpeg = bytearray(encode("JPEG", scene(64, 64), subsampling="4:2:0"))
    start = jpeg.index(b"\xff\xc0")
    assert jpeg[start + 11] == 0x22
    jpeg[start + 11] = 0x14
    assert decode(bytes(jpeg), 32, 32, 3).shape == (32, 32, 3)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_broken_exif_leaves_the_image_upright(image_format: str) -> None:
    """EXIF that cannot be read, or could not be written again, does not refuse the image."""
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x02\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\x87\x69\0\x04\0\0\0\x01\xff\xff\xff\xff"
    whole = decode(encode(image_format), 24, 32, 3)
    for length in (len(exif), 12, 20, 7):
        assert decode(encode(image_format, exif=exif[:length]), 24, 32, 3).shape == whole.shape


def test_all_readers_agree_on_the_orientation() -> None:
    """A grey-scale and a CMYK JPEG with the same tag are turned the same way, though different decoders read them."""
    exif = Image.Exif()
    exif[0x0112] = 6
    left_half = np.zeros((32, 64), np.uint8)
    left_half[:, :32] = 255
    grey = decode(encode("JPEG", left_half, exif=exif), 64, 32, 1)[:, :, 0] > 127
    stream = io.BytesIO()
    Image.merge("CMYK", [Image.fromarray(255 - left_half)] * 4).save(stream, "JPEG", exif=exif)
    assert np.array_equal(decode(stream.getvalue(), 64, 32, 1)[:, :, 0] > 127, grey)
    assert grey[:32].all()
    assert not grey[32:].any()
