"""Encoded image in, uint8 pixels out: the one function that training and serving share.

JPEG goes through libjpeg-turbo, everything else through Pillow; how that is stretched is the matter of a file for each
version: stretch.py, and stretch_v1.py for bundles of version 1.
"""

import functools
import io
import struct
import warnings
import zlib
from collections.abc import Callable
from typing import Final, Protocol

import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError

from cnnsvc.errors import ImageError, InvalidError, TooLargeError, UnsupportedError
from cnnsvc.exif import exif_orientation, jpeg_orientation
from cnnsvc.stretch import Pixels as Pixels  # others have it from here
from cnnsvc.stretch import stretch

PIXELS_VERSION: Final = 2
"""The version that new bundles record; any change that alters one output byte raises it and keeps the old function."""

DEFAULT_LIMIT_PIXELS: Final = 50_000_000
"""Largest accepted width x height, read from the header before anything is decoded."""

_PILLOW_FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
_JPEG_DIVISORS: Final = (8, 4, 2)
"""Of libjpeg-turbo's scales in eighths only these are fast: a 665 x 499 photograph takes 0.72 ms of CPU at 1/2, 0.76 at
3/8, 1.24 to 1.8 at 5/8 to 7/8 and 0.98 in full. They are also those that TensorFlow's decoder offers."""
_LIMIT_JPEG_SCANS: Final = 64
"""A progressive JPEG has about ten; each takes as long as a picture, and a scan of a few bytes can be repeated."""
_LIMIT_SCANNED: Final = 20
"""Largest scans x pixels, in multiples of the limit of pixels."""
# What Pillow raises on malformed files, by its issue tracker and by fuzzing; MemoryError is not among them.
_PILLOW_ERRORS: Final = (OSError, ValueError, SyntaxError, TypeError, NotImplementedError, IndexError, KeyError,
                         EOFError, OverflowError, AttributeError, AssertionError, struct.error, zlib.error)  # fmt: skip

# Pillow's own check, an error above twice this, is the only one before it fills an animated GIF's background, for which
# 460 bytes took 2.3 GB. One limit for the process: the largest that decode was asked for.
Image.MAX_IMAGE_PIXELS = DEFAULT_LIMIT_PIXELS
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# It warns about metadata, which is not used here; in a server anybody could fill the log with that.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


class Decoder(Protocol):
    def __call__(
        self, image_bytes: bytes, height: int, width: int, channels: int, *, limit_pixels: int = ...
    ) -> Pixels: ...


def decode(
    image_bytes: bytes, height: int, width: int, channels: int, *, limit_pixels: int = DEFAULT_LIMIT_PIXELS
) -> Pixels:
    """Pixels of one encoded image, stretched to uint8 (height, width, channels); channels is 1 (grey) or 3 (RGB).

    JPEG, PNG, WebP, BMP and GIF (first frame) are told by content. EXIF orientation is obeyed; alpha is dropped, 16-bit
    values keep their high byte. Large JPEGs are decoded in the DCT at the smallest of 1/8, 1/4, 1/2 and 1 that is not
    below the target.

    Raises ImageError for bytes that are no such image, TooLargeError above `limit_pixels`.
    """
    return stretch(read(image_bytes, height, width, channels, limit_pixels), height, width)


def _decode_v1(
    image_bytes: bytes, height: int, width: int, channels: int, *, limit_pixels: int = DEFAULT_LIMIT_PIXELS
) -> Pixels:
    """As `decode`, with area averages along axes that shrink."""
    from cnnsvc.stretch_v1 import stretch_v1  # it loads OpenCV, an extra

    return stretch_v1(read(image_bytes, height, width, channels, limit_pixels), height, width)


DECODERS: Final[dict[int, Decoder]] = {1: _decode_v1, 2: decode}


@functools.cache
def decoder(version: int) -> Decoder:
    """The pixel function of that version.

    Raises InvalidError for a version this program does not have, UnsupportedError for one whose package is absent.
    """
    try:
        if version == 1:
            import cnnsvc.stretch_v1  # noqa: F401  # an extra
        return DECODERS[version]
    except ImportError as error:
        raise UnsupportedError(
            f"pixels version {version} needs OpenCV, which is not installed ({error}); install it with:"
            " pip install 'cnnsvc[opencv]', or train again"
        ) from None
    except KeyError:
        raise InvalidError(f"pixels version {version} is unknown; known are {sorted(DECODERS)}") from None


def read(image_bytes: bytes, height: int, width: int, channels: int, limit_pixels: int) -> Pixels:
    """Upright pixels of any size, uint8 (h, w, channels)."""
    image = None
    if image_bytes[:3] == b"\xff\xd8\xff":
        image = _decode_jpeg(image_bytes, height, width, channels, limit_pixels)
    if image is None:
        image = _decode_with_pillow(image_bytes, channels, limit_pixels)
    return image


def _decode_jpeg(image_bytes: bytes, height: int, width: int, channels: int, limit_pixels: int) -> Pixels | None:
    """Upright pixels, at least height x width where the file is that large; None where Pillow has the last word."""
    try:
        full_height, full_width, colorspace, _ = simplejpeg.decode_jpeg_header(image_bytes)
    except (ValueError, KeyError):  # 4:4:1 is a KeyError
        return None  # unusual chroma subsampling, or no JPEG at all
    _check_size(full_width, full_height, limit_pixels)
    _check_scans(image_bytes, full_width * full_height, limit_pixels)
    if colorspace in ("CMYK", "YCCK"):
        return None
    orientation = jpeg_orientation(image_bytes)
    if orientation >= 5:  # the file lies on its side
        height, width = width, height
    fitting = (by for by in _JPEG_DIVISORS if -(-full_height // by) >= height and -(-full_width // by) >= width)
    divisor = next(fitting, 1)
    try:
        image: Pixels = simplejpeg.decode_jpeg(
            image_bytes,
            colorspace="RGB" if channels == 3 else "GRAY",
            min_height=-(-full_height // divisor),
            min_width=-(-full_width // divisor),
        )
    except (ValueError, KeyError):
        return None  # libjpeg-turbo warns about harmless faults and real ones alike
    return _UPRIGHT[orientation](image)


# EXIF 2.32, tag 0x0112: which corner row 0, column 0 of the stored image shows.
_UPRIGHT: Final[dict[int, Callable[[Pixels], Pixels]]] = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: image.transpose(1, 0, 2)[:, ::-1],
    7: lambda image: image.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda image: image.transpose(1, 0, 2)[::-1],
}


def _decode_with_pillow(image_bytes: bytes, channels: int, limit_pixels: int) -> Pixels:
    if not image_bytes:
        raise ImageError("the image is empty (0 bytes)")
    Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS or 0, limit_pixels)
    try:
        with Image.open(io.BytesIO(image_bytes), formats=_PILLOW_FORMATS) as image:
            _check_size(*image.size, limit_pixels)
            if is_jpeg := image.format in ("JPEG", "MPO"):
                _check_scans(image_bytes, image.width * image.height, limit_pixels)
            image.load()
            orientation = jpeg_orientation(image_bytes) if is_jpeg else exif_orientation(_exif(image))
            return _UPRIGHT[orientation](_eight_bits(image, channels))
    except UnidentifiedImageError:
        raise ImageError(
            f"not an image: {len(image_bytes)} bytes beginning {image_bytes[:8]!r};"
            " expected JPEG, PNG, WebP, BMP or GIF"
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        num_pixels = "".join(filter(str.isdigit, str(error).partition(" pixels")[0])) or "too many"
        raise TooLargeError(f"the image has {num_pixels} pixels; allowed are {limit_pixels} (limit_pixels)") from None
    except _PILLOW_ERRORS as error:
        raise ImageError(f"the image of {len(image_bytes)} bytes cannot be decoded: {error}") from None


def _exif(image: Image.Image) -> bytes:
    exif = image.info.get("exif")
    return exif if isinstance(exif, bytes) else b""  # a PNG's text may go by that name too


def _eight_bits(image: Image.Image, channels: int) -> Pixels:
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion clips at 255 instead of scaling
        high_byte = (np.asarray(image).clip(0, 0xFFFF) >> 8).astype(np.uint8)
        return np.repeat(high_byte[:, :, None], channels, axis=2)
    pixels = np.asarray(image.convert("RGB" if channels == 3 else "L"))
    return pixels.reshape(*pixels.shape[:2], channels)


def _check_size(width: int, height: int, limit_pixels: int) -> None:
    if width * height > limit_pixels:
        raise TooLargeError(
            f"the image has {width} x {height} = {width * height} pixels; allowed are {limit_pixels} (limit_pixels)"
        )


def _check_scans(jpeg: bytes, num_pixels: int, limit_pixels: int) -> None:
    """The marker cannot occur inside a scan; a thumbnail's own scan counts too, which leaves room enough."""
    num_scans = jpeg.count(b"\xff\xda")
    if num_scans > _LIMIT_JPEG_SCANS or num_scans * num_pixels > _LIMIT_SCANNED * limit_pixels:
        raise TooLargeError(
            f"the JPEG has {num_scans} scans of {num_pixels} pixels; allowed are {_LIMIT_JPEG_SCANS} scans and"
            f" {_LIMIT_SCANNED * limit_pixels} pixels in all of them"
        )
