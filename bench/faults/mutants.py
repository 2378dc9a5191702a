"""Mutated images, each the same on every machine for its number: bytes flipped, cut, spliced, doubled."""

import io
import random
import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import numpy as np
from PIL import Image

from cnnsvc.pixels import Pixels
from tests.encoded import scene

FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP")

_MOST_MUTATIONS: Final = 4
_HEADER_BYTES: Final = 64
_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_EXTREMES: Final = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutant(number: int) -> bytes:
    """One to four mutations of an image whose format is that of the number in turn."""
    chance = random.Random(number)
    image_format = FORMATS[number % len(FORMATS)]
    found = bytearray(chance.choice(_originals()[image_format]))
    for _ in range(chance.randint(1, _MOST_MUTATIONS)):
        chance.choice(_MUTATIONS)(found, chance)
    # Else most of them would end at the first checksum.
    if image_format == "PNG" and chance.random() < 0.5:
        _mend_checksums(found)
    return bytes(found)


@cache
def _originals() -> dict[str, list[bytes]]:
    """Small images in every way that their formats have of storing one."""
    colour, grey = Image.fromarray(_noisy(scene(45, 60))), Image.fromarray(_noisy(scene(45, 60)[..., 0]))
    oriented = Image.Exif()
    oriented[0x0112] = 6
    frames: dict[str, Any] = {"save_all": True, "append_images": [Image.fromarray(scene(45, 60, seed=1))]}
    ways: dict[str, list[tuple[Image.Image, dict[str, Any]]]] = {
        "JPEG": [
            (colour, {"exif": oriented}),
            (colour, {"progressive": True, "restart_marker_rows": 1}),
            (colour, {"subsampling": 0, "quality": 30}),
            (colour.convert("CMYK"), {}),
            (grey, {}),
            (colour.resize((400, 300)), {}),  # decoded at a part of its size
        ],
        "PNG": [
            (colour, {"exif": oriented}),
            (colour, frames),
            (grey.convert("I;16"), {}),
            (grey.convert("1"), {}),
            (colour.convert("P"), {"transparency": 3}),
            (grey.convert("LA"), {}),
        ],
        "WEBP": [
            (colour, {"exif": oriented}),
            (colour, {"lossless": True}),
            (colour.convert("RGBA"), {"quality": 50}),
            (colour, frames),
        ],
        "GIF": [(colour, frames), (grey, {"interlace": 1}), (colour.convert("P"), {"transparency": 0})],
        "BMP": [(colour, {}), (colour.convert("P"), {}), (grey.convert("1"), {}), (colour.convert("RGBA"), {})],
    }
    return {name: [_encoded(image, name, options) for image, options in those] for name, those in ways.items()}


def _noisy(pixels: Pixels) -> Pixels:
    noise = np.random.default_rng(0).integers(0, 24, pixels.shape, np.uint8)
    return np.asarray(pixels // 2 + noise)


def _encoded(image: Image.Image, image_format: str, options: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    image.save(stream, image_format, **options)
    return stream.getvalue()


def _flip_bits(image: bytearray, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 8)):
        if image:
            image[chance.randrange(len(image))] ^= 1 << chance.randrange(8)


def _cut(image: bytearray, chance: random.Random) -> None:
    del image[chance.randrange(len(image) + 1) :]


def _cut_out(image: bytearray, chance: random.Random) -> None:
    start, end = _piece(image, chance)
    del image[start:end]


def _double(image: bytearray, chance: random.Random) -> None:
    start, end = _piece(image, chance)
    image[start:start] = image[start:end] * chance.randint(1, 3)


def _swap(image: bytearray, chance: random.Random) -> None:
    start, end = _piece(image, chance)
    piece = bytes(image[start:end])
    del image[start:end]
    place = chance.randrange(len(image) + 1)
    image[place:place] = piece


def _splice(image: bytearray, chance: random.Random) -> None:
    """A piece of another image, of its format or not."""
    other = bytearray(chance.choice(_originals()[chance.choice(FORMATS)]))
    start, end = _piece(other, chance)
    place = chance.randrange(len(image) + 1)
    image[place : place + (end - start) * chance.randint(0, 1)] = other[start:end]


def _set_field(image: bytearray, chance: random.Random) -> None:
    """A number to an extreme, anywhere."""
    _set_number(image, chance.randrange(len(image) + 1), chance)


def _set_header(image: bytearray, chance: random.Random) -> None:
    """A number to an extreme, where most formats have their sizes and lengths."""
    _set_number(image, chance.randrange(min(_HEADER_BYTES, len(image)) + 1), chance)


def _fill(image: bytearray, chance: random.Random) -> None:
    start, end = _piece(image, chance)
    image[start:end] = bytes([chance.choice((0, 0xFF, chance.randrange(256)))]) * (end - start)


_MUTATIONS: Final[tuple[Callable[[bytearray, random.Random], None], ...]] = (
    _flip_bits, _cut, _cut_out, _double, _swap, _splice, _set_field, _set_header, _fill,
)  # fmt: skip


def _piece(image: bytearray, chance: random.Random) -> tuple[int, int]:
    """Of a few bytes as often as of many."""
    start = chance.randrange(len(image) + 1)
    return start, min(len(image), start + int(2 ** chance.uniform(0, 11)))


def _set_number(image: bytearray, place: int, chance: random.Random) -> None:
    form = chance.choice(("B", ">H", "<H", ">I", "<I"))
    number = chance.choice(_EXTREMES) % (1 << 8 * struct.calcsize(form))
    image[place : place + struct.calcsize(form)] = struct.pack(form, number)


def _mend_checksums(png: bytearray) -> None:
    """Of every chunk whose length fits into the file."""
    place = len(_PNG_SIGNATURE)
    while place + 12 <= len(png):
        end = place + 8 + int.from_bytes(png[place : place + 4])
        if end + 4 > len(png):
            return
        png[end : end + 4] = struct.pack(">I", zlib.crc32(png[place + 4 : end]))
        place = end + 4
