"""Numbers of foreign tensors to the pixels of a network, which are 0 to 255, whatever type the numbers have."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnsvc.errors import InvalidError
from cnnsvc.pixels import Pixels


@dataclass
class PixelRange:
    """What numbers a call's images have, to tell those that somebody has divided by 255."""

    greatest: float = 0.0
    has_fractions: bool = False

    def check(self) -> None:
        """After the last image. Raises InvalidError."""
        if self.has_fractions and self.greatest <= 1:
            raise InvalidError(
                f"pixels are fractions of 1, {self.greatest:g} at most; the network takes 0 to 255, and divides by"
                " 255 itself"
            )


def pixels_of(numbers: NDArray[Any], seen: PixelRange) -> Pixels:
    """Numbers 0 to 255 as uint8, halves rounded to even. Raises InvalidError for others."""
    if numbers.dtype == np.uint8 or not numbers.size:
        return numbers.astype(np.uint8, copy=False)
    least, greatest = float(numbers.min()), float(numbers.max())
    if not (least >= 0 and greatest <= 255):  # NaN is neither
        raise InvalidError(f"pixels from {least:g} to {greatest:g} came; expected 0 to 255: the network takes 0 to 255")
    seen.greatest = max(seen.greatest, greatest)
    if numbers.dtype.kind != "f":
        return numbers.astype(np.uint8)
    rounded: NDArray[Any] = np.rint(numbers)
    seen.has_fractions = seen.has_fractions or bool((rounded != numbers).any())
    return rounded.astype(np.uint8)


def whole_pixels(numbers: NDArray[Any]) -> Pixels:
    """Of a whole call at once."""
    seen = PixelRange()
    pixels = pixels_of(numbers, seen)
    seen.check()
    return pixels
