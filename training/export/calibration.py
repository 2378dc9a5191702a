"""What flows into each layer of the folded network when it sees training images: the facts that quantisation needs."""

from typing import Final

import keras
import numpy as np
from numpy.typing import NDArray

from cnnsvc.engines.base import Images
from training.export.folding import FoldedConvolution, FoldedDense
from training.export.moments import LayerInput, Moments

MAX_PATCH: Final = 4096
"""Inputs of one output; of larger ones the second moments are not gathered, which cost their cube to use."""

_PATCHES_PER_IMAGE: Final = 200
_VALUES_PER_IMAGE: Final = 4096
_MAX_BATCH: Final = 8


def calibrate(
    network: keras.Model, layers: list[FoldedConvolution | FoldedDense], images_nhwc: Images, *, batch_size: int
) -> list[LayerInput]:
    """One a layer, from uint8 (N, H, W, C) training images. The same images give the same facts."""
    taps = keras.Model(network.inputs[0], [layer.source for layer in layers])
    random = np.random.default_rng(0)
    gathered = [_Gatherer(layer) for layer in layers]
    batch_size = min(batch_size, _MAX_BATCH)
    for start in range(0, len(images_nhwc), batch_size):
        outputs = taps(images_nhwc[start : start + batch_size].astype(np.float32), training=False)
        for gatherer, output in zip(gathered, outputs if len(layers) > 1 else [outputs], strict=True):
            gatherer.add(keras.ops.convert_to_numpy(output), random)
    return [gatherer.finished() for gatherer in gathered]


class _Gatherer:
    """The facts about one layer so far."""

    def __init__(self, layer: FoldedConvolution | FoldedDense) -> None:
        self._window: tuple[int, int] | None = None
        if isinstance(layer, FoldedConvolution) and layer.weights_oihw[0].size <= MAX_PATCH:
            self._window = layer.weights_oihw.shape[2], layer.weights_oihw.shape[3]
        self._highest = 0.0
        self._values: list[NDArray[np.float32]] = []
        self._num_patches = 0
        self._sum_k: NDArray[np.float64] | float = 0.0
        self._products_kk: NDArray[np.float64] | float = 0.0

    def add(self, inputs: NDArray[np.float32], random: np.random.Generator) -> None:
        """Inputs (N, H, W, C), or (N, I) of a dense layer behind another."""
        self._highest = max(self._highest, float(inputs.max()))
        for image in inputs:
            self._values.append(random.choice(image.reshape(-1), min(_VALUES_PER_IMAGE, image.size), replace=False))
            if self._window is not None:
                self._add_patches(image, self._window, random)

    def finished(self) -> LayerInput:
        values = np.concatenate(self._values)
        moments = None
        if self._num_patches:
            mean_k = np.asarray(self._sum_k) / self._num_patches
            moments = Moments(mean_k, np.asarray(self._products_kk) / self._num_patches - np.outer(mean_k, mean_k))
        return LayerInput(self._highest, values[values > 0], moments)

    def _add_patches(
        self, image_hwc: NDArray[np.float32], window: tuple[int, int], random: np.random.Generator
    ) -> None:
        if image_hwc.shape[0] < window[0] or image_hwc.shape[1] < window[1]:
            return  # only padding makes room for such a window
        windows = np.lib.stride_tricks.sliding_window_view(image_hwc, window, axis=(0, 1))
        rows, columns = (random.integers(0, size, _PATCHES_PER_IMAGE) for size in windows.shape[:2])
        patches = windows[rows, columns].reshape(_PATCHES_PER_IMAGE, -1).astype(np.float64)
        self._num_patches += len(patches)
        self._sum_k = self._sum_k + patches.sum(axis=0)
        self._products_kk = self._products_kk + patches.T @ patches
