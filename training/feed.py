"""Hands the cache to Keras in batches, in an order of its own each epoch."""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from training.balance import num_with_copies, rows_with_copies
from training.trained import Labelled


class Feed(keras.utils.PyDataset):  # type: ignore[misc]  # Keras is untyped
    """Batches of uint8 (B, H, W, C) and int32 (B,); every image once an epoch, the last batch may be smaller.

    `start_epoch` chooses the order: the same seed and epoch give the same one on every machine.
    """

    def __init__(
        self,
        labelled: Labelled,
        batch_size: int,
        *,
        seed: int,
        fills_last_batch: bool = False,
        copies: bool = False,
    ) -> None:
        """`fills_last_batch` repeats images of the same epoch, for several devices: none may be left without any.

        `copies` repeats images of smaller classes, drawn anew each epoch, until each has as many as the largest.
        """
        super().__init__()
        self.num_images = num_with_copies(labelled.labels) if copies else len(labelled.labels)
        """Of an epoch, copies among them."""
        self._copies = copies
        self._labelled = labelled
        self._batch_size = batch_size
        self._seed = seed
        self._fills_last_batch = fills_last_batch
        self.start_epoch(1)

    def start_epoch(self, epoch: int) -> None:
        """Shuffles for this epoch, counted from 1."""
        generator = np.random.default_rng([self._seed, epoch])
        rows = rows_with_copies(self._labelled.labels, generator) if self._copies else self.num_images
        order = generator.permutation(rows)
        if self._fills_last_batch:
            order = np.resize(order, len(self) * self._batch_size)
        self._order: NDArray[np.intp] = order

    def __len__(self) -> int:
        return -(-self.num_images // self._batch_size)

    def __getitem__(self, batch: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        rows = self._order[batch * self._batch_size : (batch + 1) * self._batch_size]
        return np.asarray(self._labelled.images_nhwc[rows]), self._labelled.labels[rows]


class ImageFeed(keras.utils.PyDataset):  # type: ignore[misc]  # Keras is untyped
    """Batches of images alone, in order, for predictions; a mapped cache is read piece by piece.

    Every batch is full, the last one with its images repeated: no device of several may be left without any.
    """

    def __init__(self, images_nhwc: NDArray[Any], batch_size: int) -> None:
        super().__init__()
        self._images_nhwc = images_nhwc
        self._batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self._images_nhwc) // self._batch_size)

    def __getitem__(self, batch: int) -> tuple[NDArray[np.float32]]:
        images_nhwc = self._images_nhwc[batch * self._batch_size : (batch + 1) * self._batch_size]
        filled = np.resize(images_nhwc, (self._batch_size, *images_nhwc.shape[1:]))
        return (filled.astype(np.float32),)
