"""The orientation reader against Pillow, and against bytes that mean nothing."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cnnsvc.exif import jpeg_orientation
from tests.encoded import encode


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("endian", ["<", ">"])
def test_it_reads_what_pillow_reads(orientation: int, endian: str) -> None:
    """All eight values come out, in both byte orders, with other tags before them."""
    exif = Image.Exif()
    exif.endian = endian
    exif[0x010F] = "a camera"
    exif[0x0112] = orientation
    jpeg = encode("JPEG", exif=exif.tobytes())
    assert jpeg_orientation(jpeg) == orientation == Image.open(io.BytesIO(jpeg)).getexif()[0x0112]


def test_without_exif_the_image_stands_upright() -> None:
    """No EXIF, an unknown value and a lone start marker all mean upright."""
    assert jpeg_orientation(encode("JPEG")) == 1
    assert jpeg_orientation(b"\xff\xd8") == 1
    exif = Image.Exif()
    exif[0x0112] = 9
    assert jpeg_orientation(encode("JPEG", exif=exif)) == 1


@given(st.binary(max_size=200))
def test_any_bytes_are_answered(tail: bytes) -> None:
    """Whatever follows the markers, the answer is one of the eight."""
    assert 1 <= jpeg_orientation(b"\xff\xd8\xff\xe1\x00\x40Exif\0\0II*\0" + tail) <= 8
    assert 1 <= jpeg_orientation(b"\xff\xd8" + tail) <= 8
