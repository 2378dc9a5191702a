"""Output shapes and parameter counts of a network, by arithmetic alone: no TensorFlow needed."""

import math
from dataclasses import dataclass

from cnnsvc.errors import InvalidError
from cnnsvc.manifest import ImageShape
from training.architecture import Architecture, Convolution, Dense, Dropout, Layer, Pooling, named_layers


@dataclass(frozen=True)
class LayerShape:
    name: str
    """The Keras layer's; rescaling and ReLU, which have neither shape nor parameters of their own, are not listed."""
    sign: str
    """In the notation; a name where the notation has no sign."""
    output: tuple[int, ...]
    """Without the batch: (height, width, channels) or (values,)."""
    num_trainable: int = 0
    num_frozen: int = 0
    """The moving mean and variance of batch norms."""

    @property
    def num_parameters(self) -> int:
        return self.num_trainable + self.num_frozen


@dataclass(frozen=True)
class NetworkShape:
    layers: tuple[LayerShape, ...]
    """From the first convolution to the probabilities."""

    @property
    def num_flat(self) -> int:
        """Values that the convolutional part hands to the first dense layer."""
        return next(layer.output[0] for layer in self.layers if layer.name == "flatten")

    @property
    def num_values(self) -> int:
        """Outputs of all layers for one image, which training keeps for the gradients."""
        return sum(math.prod(layer.output) for layer in self.layers if layer.name != "flatten")  # the same values

    @property
    def num_trainable(self) -> int:
        return sum(layer.num_trainable for layer in self.layers)

    @property
    def num_frozen(self) -> int:
        return sum(layer.num_frozen for layer in self.layers)

    @property
    def num_parameters(self) -> int:
        return self.num_trainable + self.num_frozen


def measure(architecture: Architecture, image: ImageShape, num_classes: int) -> NetworkShape:
    """Every layer's shape and parameters. Raises InvalidError, naming the layer, where nothing of the image is left."""
    _check_input(image, num_classes)
    layers: list[LayerShape] = []
    output: tuple[int, ...] = (image.height, image.width, image.channels)
    named = list(named_layers(architecture))
    for index, (name, layer) in enumerate(named):
        if index == len(architecture.convolutional):
            output = _append_flatten(layers, output)
        layers.append(_layer_shape(name, layer, output))
        output = layers[-1].output
        if isinstance(layer, Convolution | Dense) and layer.has_batch_norm:
            layers.append(LayerShape(f"{name}_batch_norm", "n", output, 2 * output[-1], 2 * output[-1]))
    if not architecture.dense:
        output = _append_flatten(layers, output)
    layers.append(LayerShape("probabilities", "softmax", (num_classes,), num_trainable=(output[0] + 1) * num_classes))
    return NetworkShape(tuple(layers))


def _check_input(image: ImageShape, num_classes: int) -> None:
    if min(image.height, image.width, image.channels) < 1:
        raise InvalidError(f"an image of {image.height} x {image.width} x {image.channels} is empty")
    if num_classes < 2:
        raise InvalidError(f"{num_classes} classes cannot be told apart; expected at least 2")


def _append_flatten(layers: list[LayerShape], output: tuple[int, ...]) -> tuple[int, ...]:
    layers.append(LayerShape("flatten", "flatten", (math.prod(output),)))
    return layers[-1].output


def _layer_shape(name: str, layer: Layer, before: tuple[int, ...]) -> LayerShape:
    match layer:
        case Convolution():
            return _convolution_shape(name, layer, before)
        case Pooling():
            height, width, channels = before
            sign = f"p{layer.size}"  # `|` says nothing outside of a line
            _check_fits(name, sign, before, layer.size)
            return LayerShape(name, sign, (height // layer.size, width // layer.size, channels))
        case Dropout():
            return LayerShape(name, str(layer), before)
        case Dense():
            return LayerShape(name, str(layer), (layer.nodes,), num_trainable=(before[0] + 1) * layer.nodes)


def _convolution_shape(name: str, layer: Convolution, before: tuple[int, ...]) -> LayerShape:
    height, width, channels = before
    lost = 0 if layer.is_padded else layer.kernel - 1
    if lost:
        _check_fits(name, str(layer), before, layer.kernel)
    # Each filter has a bias, behind a batch norm too: the article's counts include it.
    num_weights = (layer.kernel * layer.kernel * channels + 1) * layer.filters
    return LayerShape(name, str(layer), (height - lost, width - lost, layer.filters), num_trainable=num_weights)


def _check_fits(name: str, sign: str, before: tuple[int, ...], size: int) -> None:
    if min(before[:2]) < size:
        raise InvalidError(
            f"{name} '{sign}' takes {size} x {size} pixels, but {before[0]} x {before[1]} are left of the image there;"
            " expected a larger image, less pooling or padded convolutions"
        )
