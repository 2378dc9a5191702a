"""What version 1 of the pixel function stretches with: OpenCV, an extra that only bundles of that version need.

It never sees a file: OpenCV 5.0.0 ends the process on some malformed animated PNGs.
"""

import cv2
import numpy as np

from cnnsvc.stretch import Pixels

# One image is far too small to share between threads; parallelism comes from many images.
cv2.setNumThreads(1)


def stretch_v1(image: Pixels, height: int, width: int) -> Pixels:
    """Area averages along axes that shrink, exact linear interpolation along axes that grow; always contiguous."""
    shrunk = min(height, image.shape[0]), min(width, image.shape[1])
    if shrunk != image.shape[:2]:
        image = _resize(image, *shrunk, cv2.INTER_AREA)
    if (height, width) != image.shape[:2]:
        image = _resize(image, height, width, cv2.INTER_LINEAR_EXACT)
    return np.ascontiguousarray(image)


def _resize(image: Pixels, height: int, width: int, interpolation: int) -> Pixels:
    resized: Pixels = cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=interpolation)
    return resized.reshape(height, width, image.shape[2])
