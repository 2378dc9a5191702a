"""An architecture as a Keras network; Keras 3's own layers only, so that any of its backends can train it."""

from dataclasses import dataclass
from typing import Any, Final

import keras
import numpy as np
from keras import layers

from cnnsvc.manifest import ImageShape
from training.architecture import Architecture, Convolution, Dense, Dropout, Layer, Pooling, named_layers
from training.batch_norm import BatchNormalization
from training.shapes import measure

L2_FACTOR: Final = 0.01
"""Source: the article, "L2 factor kept default at 0.01"."""


@dataclass(frozen=True)
class NetworkChoices:
    """What the notation leaves open."""

    convolution_gain: float = 2.0
    """Times 1 / fan-in is the initial variance of weights; 2 keeps that of activations behind ReLU (He et al. 2015)."""
    flat_inputs: int = 256
    """The flattened inputs are scaled by this over their number, where there are more.

    Behind batch norm and ReLU they share a positive mean, and Adam moves every weight by the learning rate: unscaled,
    one step shifts a node of 59,168 inputs by tens, and a ReLU pushed below zero for every image never comes back.
    Unscaled, network 26 died at 1e-3 even with gradient clipping, warm-up and small weights (1 of 16 nodes left).
    """
    first_dense_gain: float = 0.1
    dense_gain: float = 2.0
    dense_bias: float = 0.1
    """Starts the few ReLU nodes of these networks switched on: 12 to 16 of 16 stay so, against 8 with 0."""
    output_gain: float = 1.0
    batch_norm_momentum: float = 0.9
    """Keras' 0.99 needs several hundred steps to settle, which is many epochs of a small folder."""
    batch_norm_epsilon: float = 1e-3


def build_network(
    architecture: Architecture,
    image: ImageShape,
    num_classes: int,
    *,
    seed: int | None,
    choices: NetworkChoices = NetworkChoices(),
) -> keras.Model:
    """The untrained network: float32 (N, H, W, C), 0..255, to float32 (N, K) probabilities, rows sum to 1.

    The same seed gives the same initial weights and dropout masks; no two layers share one. Layers are named as in
    training.shapes. The output is float32 under mixed precision too.

    Raises InvalidError where the image is too small for the architecture.
    """
    num_flat = measure(architecture, image, num_classes).num_flat
    seeds = _Seeds(seed)
    inputs = keras.Input((image.height, image.width, image.channels), dtype="float32", name="image")
    outputs = layers.Rescaling(1 / 255, dtype="float32", name="rescaling")(inputs)
    num_convolutional = len(architecture.convolutional)
    for index, (name, layer) in enumerate(named_layers(architecture)):
        if index == num_convolutional:
            outputs = _flattened(outputs, num_flat, choices)
        gain = choices.first_dense_gain if index == num_convolutional else choices.dense_gain
        for part in _keras_layers(name, layer, choices, gain, seeds):
            outputs = part(outputs)
    if not architecture.dense:
        outputs = _flattened(outputs, num_flat, choices)
    outputs = layers.Dense(
        num_classes,
        activation="softmax",
        kernel_initializer=_initializer(choices.output_gain, seeds),
        dtype="float32",
        name="probabilities",
    )(outputs)
    return keras.Model(inputs, outputs, name="network")


def divide_logits(network: keras.Model, temperature: float) -> None:
    """Divides what goes into the softmax, in the weights of the last layer: whoever runs the network need not know."""
    last = network.layers[-1]
    last.set_weights([weight / temperature for weight in last.get_weights()])


class _Seeds:
    """A new seed at each call, or None throughout."""

    def __init__(self, seed: int | None) -> None:
        self._generator = None if seed is None else np.random.default_rng(seed)

    def next(self) -> int | None:
        return None if self._generator is None else int(self._generator.integers(2**31))


def _flattened(outputs: Any, num_flat: int, choices: NetworkChoices) -> Any:
    outputs = layers.Flatten(name="flatten")(outputs)
    scale = choices.flat_inputs / num_flat
    return layers.Rescaling(scale, name="flat_rescaling")(outputs) if scale < 1 else outputs


def _keras_layers(name: str, layer: Layer, choices: NetworkChoices, dense_gain: float, seeds: _Seeds) -> list[Any]:
    match layer:
        case Convolution():
            convolution = layers.Conv2D(
                layer.filters,
                layer.kernel,
                padding="same" if layer.is_padded else "valid",
                kernel_initializer=_initializer(choices.convolution_gain, seeds),
                name=name,
            )
            return [convolution, *_norm_and_relu(name, layer.has_batch_norm, True, choices)]
        case Pooling():
            return [layers.MaxPooling2D(layer.size, name=name)]
        case Dropout():
            return [layers.Dropout(layer.rate, seed=seeds.next(), name=name)]
        case Dense():
            dense = layers.Dense(
                layer.nodes,
                kernel_initializer=_initializer(dense_gain, seeds),
                bias_initializer=keras.initializers.Constant(choices.dense_bias),
                kernel_regularizer=keras.regularizers.L2(L2_FACTOR) if layer.has_l2 else None,
                name=name,
            )
            return [dense, *_norm_and_relu(name, layer.has_batch_norm, layer.has_relu, choices)]


def _norm_and_relu(name: str, has_batch_norm: bool, has_relu: bool, choices: NetworkChoices) -> list[Any]:
    """Batch norm stands before the ReLU, where it folds into the weights of the layer before it."""
    parts: list[Any] = []
    if has_batch_norm:
        momentum, epsilon = choices.batch_norm_momentum, choices.batch_norm_epsilon
        parts.append(BatchNormalization(momentum=momentum, epsilon=epsilon, name=f"{name}_batch_norm"))
    if has_relu:
        parts.append(layers.ReLU(name=f"{name}_relu"))
    return parts


def _initializer(gain: float, seeds: _Seeds) -> Any:
    return keras.initializers.VarianceScaling(gain, mode="fan_in", distribution="truncated_normal", seed=seeds.next())
