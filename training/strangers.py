"""Made-up images of none of the classes, to see how many of them a threshold rejects.

They are synthetic: real images of other things look more like the classes, and more of them will be answered.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cnnsvc.engines.base import Images

MOST_STRANGERS: Final = 64
"""Of each kind."""
_NUM_BLOCKS: Final = 4
"""Along a side."""


def strangers(images_nhwc: Images, *, seed: int) -> dict[str, Images]:
    """By kind as many images, uint8 (N, H, W, C), as there are validation images, at most 64; the same for a seed."""
    num_images = min(len(images_nhwc), MOST_STRANGERS)
    rows = np.sort(np.random.default_rng(seed).permutation(len(images_nhwc))[:num_images])
    like = np.asarray(images_nhwc[rows])
    makers: dict[str, Callable[[Images, np.random.Generator], Images]] = {
        "noise": _noise,
        "one flat colour": _flat,
        "validation images cut into 16 blocks and shuffled": _shuffled,
    }
    return {kind: make(like, np.random.default_rng([seed, place])) for place, (kind, make) in enumerate(makers.items())}


def _noise(like: Images, random: np.random.Generator) -> Images:
    return random.integers(0, 256, like.shape, np.uint8)


def _flat(like: Images, random: np.random.Generator) -> Images:
    colours = random.integers(0, 256, (len(like), 1, 1, like.shape[3]), np.uint8)
    return np.broadcast_to(colours, like.shape).copy()


def _shuffled(like: Images, random: np.random.Generator) -> Images:
    """Blocks of equal size change places; what is left over at the right and the bottom stays."""
    shuffled = like.copy()
    height, width = (side // _NUM_BLOCKS for side in like.shape[1:3])
    places = [(row, column) for row in range(_NUM_BLOCKS) for column in range(_NUM_BLOCKS)]
    for image, source in zip(shuffled, like, strict=True):
        for (row, column), place in zip(places, random.permutation(len(places)).tolist(), strict=True):
            from_row, from_column = places[place]
            _block(image, row, column, height, width)[:] = _block(source, from_row, from_column, height, width)
    return shuffled


def _block(image_hwc: NDArray[np.uint8], row: int, column: int, height: int, width: int) -> NDArray[np.uint8]:
    block: NDArray[np.uint8] = image_hwc[row * height : (row + 1) * height, column * width : (column + 1) * width]
    return block
