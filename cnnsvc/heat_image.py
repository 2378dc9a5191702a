"""An occlusion heat map as a picture to lay over its image: red speaks for the class, blue against it."""

import io
from typing import Final

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from cnnsvc.errors import InvalidError
from cnnsvc.occlusion import Heat

_FOR: Final = (224, 36, 20)
_AGAINST: Final = (20, 70, 224)
_MOST_OPAQUE: Final = 190
_LEAST_SCALE: Final = 0.01
"""The drop of a score that is drawn in full: smaller ones stay pale, or noise would look like a reason."""
_LARGEST_SIDE: Final = 2048


def heat_png(heat: Heat, height: int, width: int) -> bytes:
    """An RGBA PNG of that size, clear where covering changes nothing."""
    return _encoded(_heat_image(heat, height, width))


def overlay_png(image_bytes: bytes, heat: Heat) -> bytes:
    """The image as it is meant to be looked at, under its heat map. Raises InvalidError where it is none."""
    try:
        with Image.open(io.BytesIO(image_bytes)) as opened:
            opened.draft("RGB", (_LARGEST_SIDE, _LARGEST_SIDE))
            shown = ImageOps.exif_transpose(opened).convert("RGBA")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InvalidError(f"the image cannot be drawn on: {error}") from None
    shown.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE))
    return _encoded(Image.alpha_composite(shown, _heat_image(heat, shown.height, shown.width)))


def _heat_image(heat: Heat, height: int, width: int) -> Image.Image:
    drops = np.asarray(heat, np.float64)
    strength = np.clip(np.abs(drops) / max(_LEAST_SCALE, float(np.abs(drops).max())), 0, 1)
    cells = np.empty((*drops.shape, 4), np.uint8)
    cells[..., :3] = np.where((drops >= 0)[..., None], _FOR, _AGAINST)
    cells[..., 3] = np.rint(_MOST_OPAQUE * strength)
    return Image.fromarray(cells, "RGBA").resize((width, height), Image.Resampling.BILINEAR)


def _encoded(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=4)
    return file.getvalue()
