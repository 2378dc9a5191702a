"""Any pixels in, pixels of the wanted height and width out, since version 2 of the pixel function."""

from typing import Final

import numpy as np
from cykooz_resizer import FilterType, ImageData, PixelType, ResizeAlg, ResizeOptions, Resizer
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

_PIXEL_TYPES: Final = {1: PixelType.U8, 3: PixelType.U8x3}
_TRIANGLE: Final = ResizeOptions(ResizeAlg.convolution(FilterType.bilinear), use_alpha=False)


def stretch(image: Pixels, height: int, width: int) -> Pixels:
    """Linear interpolation along axes that grow, averages under a triangle along axes that shrink; always contiguous.

    Pillow's BILINEAR to within rounding, and the same bytes whatever instructions the processor has. Weights have 21
    bits, exact for 65,535 pixels in a row, a JPEG's most; where several millions become one the average is too dark.
    """
    # Axes that shrink come first: of 50,000,000 x 1 pixels, growing would make 2048 times as many.
    shrunk = min(height, image.shape[0]), min(width, image.shape[1])
    return _resize(_resize(image, *shrunk), height, width)


def _resize(image: Pixels, height: int, width: int) -> Pixels:
    if (height, width) == image.shape[:2]:
        return np.ascontiguousarray(image)
    pixel_type = _PIXEL_TYPES[image.shape[2]]
    source = ImageData(image.shape[1], image.shape[0], pixel_type, image.tobytes())
    target = ImageData(width, height, pixel_type)
    # A new one each time: one alone would let no two threads in, and keep the memory of the largest image.
    Resizer().resize(source, target, _TRIANGLE)
    return np.frombuffer(bytearray(target.get_buffer()), np.uint8).reshape(height, width, image.shape[2])
