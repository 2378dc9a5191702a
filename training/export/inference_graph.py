"""The folded layers as an ONNX graph that engines run without detours, some of them on eight bits.

Written by hand in ONNX's QDQ form instead of by onnxruntime's quantiser, since each of these choices shows in OpenVINO
(network 26 at 180x180, CPU of one image on a Zen 4 core: 2.0 ms with the quantiser's file and 1.2 with this one): batch
norm, rescaling and bias are folded first; uint8 pixels go into the first convolution as they are; activations behind a
ReLU need no zero point; they are quantised behind their pooling, whose float kernel is the faster one for few channels;
NHWC is kept to the end, where the dense layer wants it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from cnnsvc.manifest import ImageShape
from training.export.folding import FoldedConvolution, FoldedDense, FoldedLayer, FoldedPooling
from training.export.moments import LayerInput
from training.export.rounding import activation_scale, round_weights, round_weights_together, weight_scales

_OPSET: Final = 17
_IR_VERSION: Final = 8


@dataclass(frozen=True)
class Rounding:
    """How one layer goes to eight bits."""

    entering: LayerInput
    is_clipped: bool
    """Whether rare high activations are clipped, so that the others get finer steps."""


def inference_model(
    layers: list[FoldedLayer], image: ImageShape, rounding: Mapping[int, Rounding] | None = None
) -> onnx.ModelProto:
    """`image` uint8 (N, H, W, C) to `probabilities` float32 (N, K), N free, checked by onnx.checker.

    `rounding` by a layer's place in the list; the others compute in float32.
    """
    graph = _Graph()
    value, is_flat, num_classes = "image", False, 0
    for place, layer in enumerate(layers):
        if isinstance(layer, FoldedPooling):
            value = graph.add("MaxPool", value, kernel_shape=[layer.size] * 2, strides=[layer.size] * 2)
            continue
        rounded = (rounding or {}).get(place)
        if value == "image":
            value = graph.pixels(value, is_quantised=rounded is not None)
        elif rounded:
            value = graph.requantised(value, activation_scale(rounded.entering, is_clipped=rounded.is_clipped))
        if isinstance(layer, FoldedConvolution):
            value = graph.convolution(value, layer, rounded)
        else:
            if not is_flat:
                value, is_flat = graph.add("Flatten", graph.add("Transpose", value, perm=[0, 2, 3, 1]), axis=1), True
            value = graph.dense(value, layer, rounded)
        if layer.has_relu:
            value = graph.add("Relu", value)
        num_classes = len(layer.bias_o)
    graph.add("Softmax", value, output="probabilities", axis=-1)
    model = graph.model(image, num_classes)
    onnx.checker.check_model(model, full_check=True)
    return model


class _Graph:
    """Nodes and constants so far; each method adds some and returns the name of what comes out."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def add(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def pixels(self, value: str, *, is_quantised: bool) -> str:
        """Floats 0..255 in NCHW; for a quantised layer in the form in which engines see that they are eight bits."""
        if is_quantised:
            value = self.add("DequantizeLinear", value, self._constant(np.float32(1)), self._constant(np.uint8(0)))
        else:
            value = self.add("Cast", value, to=TensorProto.FLOAT)
        return self.add("Transpose", value, perm=[0, 3, 1, 2])

    def requantised(self, value: str, scale: float) -> str:
        parameters = self._constant(np.float32(scale)), self._constant(np.uint8(0))
        return self.add("DequantizeLinear", self.add("QuantizeLinear", value, *parameters), *parameters)

    def convolution(self, value: str, layer: FoldedConvolution, rounding: Rounding | None) -> str:
        size_h, size_w = layer.weights_oihw.shape[2:]
        before, behind = ((size_h - 1) // 2, (size_w - 1) // 2), (size_h // 2, size_w // 2)
        pads = [*before, *behind] if layer.is_padded else [0, 0, 0, 0]
        weights, bias_o = self._constant(layer.weights_oihw), layer.bias_o
        if rounding:
            weights, bias_o = self._rounded_convolution(layer, rounding.entering)
        return self.add("Conv", value, weights, self._constant(bias_o), kernel_shape=[size_h, size_w], pads=pads)

    def dense(self, value: str, layer: FoldedDense, rounding: Rounding | None) -> str:
        if rounding:
            scales_o = weight_scales(layer.weights_oi)
            weights = self._dequantised(round_weights(layer.weights_oi, scales_o).T, scales_o, axis=1)
        else:
            weights = self._constant(layer.weights_oi.T)
        return self.add("Add", self.add("MatMul", value, weights), self._constant(layer.bias_o))

    def model(self, image: ImageShape, num_classes: int) -> onnx.ModelProto:
        shape: list[str | int | None] = ["N", image.height, image.width, image.channels]
        graph = helper.make_graph(
            self._nodes,
            "network",
            [helper.make_tensor_value_info("image", TensorProto.UINT8, shape)],
            [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", num_classes])],
            self._constants,
        )
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION, producer_name="cnnsvc"
        )

    def _rounded_convolution(self, layer: FoldedConvolution, entering: LayerInput) -> tuple[str, NDArray[np.float32]]:
        shape = layer.weights_oihw.shape
        weights_ok = layer.weights_oihw.reshape(shape[0], -1)
        scales_o = weight_scales(weights_ok)
        if entering.moments is None:
            return self._dequantised(round_weights(weights_ok, scales_o).reshape(shape), scales_o, axis=0), layer.bias_o
        rounded_ok, shift_o = round_weights_together(weights_ok, scales_o, entering.moments)
        return self._dequantised(rounded_ok.reshape(shape), scales_o, axis=0), layer.bias_o + shift_o

    def _dequantised(self, rounded: NDArray[np.int8], scales_o: NDArray[np.float32], *, axis: int) -> str:
        zeros_o = np.zeros(len(scales_o), np.int8)
        parts = self._constant(rounded), self._constant(scales_o), self._constant(zeros_o)
        return self.add("DequantizeLinear", *parts, axis=axis)

    def _constant(self, values: NDArray[np.generic] | np.generic) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(values, order="C"), name))
        return name
