"""The trained network as the few layers that inference computes: whatever is constant is folded into the weights.

Batch norm before its ReLU goes into the layer before it, every rescaling into the layer behind it, dropout goes away.
"""

from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from cnnsvc.errors import ExportError

Weights = NDArray[np.float32]


@dataclass(frozen=True)
class FoldedConvolution:
    """Stride 1."""

    weights_oihw: Weights
    bias_o: Weights
    is_padded: bool
    source: Any
    """The Keras tensor that comes in, (N, H, W, I)."""
    has_relu: bool = False


@dataclass(frozen=True)
class FoldedPooling:
    """Max pooling, size x size, stride the same."""

    size: int


@dataclass(frozen=True)
class FoldedDense:
    weights_oi: Weights
    """The inputs of the first one are (H, W, C), flattened in this order."""
    bias_o: Weights
    source: Any
    """The Keras tensor that comes in, (N, I), or (N, H, W, C) before it is flattened."""
    has_relu: bool = False


FoldedLayer = FoldedConvolution | FoldedPooling | FoldedDense


def fold(network: keras.Model) -> list[FoldedLayer]:
    """The layers in order; behind the last one follows a softmax. Inputs are 0..255.

    Raises ExportError for a layer, or an order of layers, that training.network does not build.
    """
    folded: list[FoldedLayer] = []
    source: Any = network.inputs[0]  # what the next layer with weights computes on, before rescaling and flattening
    scale = 1.0
    for layer in network.layers:
        match layer:
            case layers.Rescaling() if layer.offset == 0:
                scale *= layer.scale
            case layers.Conv2D() | layers.Dense():
                folded.append(_with_weights(layer, scale, source))
                source, scale = layer.output, 1.0
            case layers.BatchNormalization():
                folded.append(_with_norm(folded.pop(), layer))
                source = layer.output
            case layers.ReLU():
                folded.append(replace(_with_affine(folded.pop(), layer), has_relu=True))
                source = layer.output
            case layers.MaxPooling2D():
                folded.append(FoldedPooling(layer.pool_size[0]))
                source = layer.output
            case layers.InputLayer() | layers.Flatten() | layers.Dropout():
                pass
            case _:
                raise ExportError(f"layer {layer.name} ({type(layer).__name__}) cannot be folded")
    return folded


def _with_weights(layer: Any, scale: float, source: Any) -> FoldedLayer:
    kernel, bias_o = layer.get_weights()
    has_relu = layer.activation is keras.activations.relu
    if isinstance(layer, layers.Dense):
        return FoldedDense(kernel.T * np.float32(scale), bias_o, source, has_relu)
    weights_oihw = kernel.transpose(3, 2, 0, 1) * np.float32(scale)
    return FoldedConvolution(weights_oihw, bias_o, layer.padding == "same", source, has_relu)


def _with_norm(before: FoldedLayer, norm: Any) -> FoldedLayer:
    before = _with_affine(before, norm)
    gamma, beta, mean, variance = norm.get_weights()
    factor_o = gamma / np.sqrt(variance + np.float32(norm.epsilon))
    bias_o = (before.bias_o - mean) * factor_o + beta
    if isinstance(before, FoldedDense):
        return replace(before, weights_oi=before.weights_oi * factor_o[:, None], bias_o=bias_o)
    return replace(before, weights_oihw=before.weights_oihw * factor_o[:, None, None, None], bias_o=bias_o)


def _with_affine(before: FoldedLayer, layer: Any) -> FoldedConvolution | FoldedDense:
    if isinstance(before, FoldedPooling) or before.has_relu:
        raise ExportError(f"layer {layer.name} does not stand right behind the weights that it would fold into")
    return before
