"""The signatures of our SavedModels (training/export/savedmodel.py), as TensorFlow Serving would offer them.

A client that works with an exported bundle in TensorFlow Serving finds the same names, types and shapes here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from cnnsvc.errors import InvalidError
from cnnsvc.manifest import ImageShape, Manifest
from cnnsvc.pb import tensorflow_pb2 as tf
from service.frontends.http_parameters import shown

PREDICT_METHOD: Final = "tensorflow/serving/predict"
CLASSIFY_METHOD: Final = "tensorflow/serving/classify"
DEFAULT_SIGNATURE: Final = "serving_default"
PROBABILITIES: Final = "probabilities"
CLASSES: Final = "classes"
SCORES: Final = "scores"
REJECTED: Final = "rejected"
"""DT_BOOL [N], where a filter names it. No signature has it: those are of the SavedModels."""


@dataclass(frozen=True)
class Signature:
    name: str
    input_name: str
    dtype: "tf.DataType"
    outputs: tuple[str, ...]
    method: str = PREDICT_METHOD

    @property
    def input_names(self) -> tuple[str, ...]:
        """Those that are answered; beside its own name an image may have that of another signature's images."""
        return (self.input_name,) if self.takes_examples else ("image", "image_bytes")

    @property
    def takes_examples(self) -> bool:
        return self.method == CLASSIFY_METHOD


_PREDICTED: Final = (PROBABILITIES,)
SIGNATURES: Final = {
    one.name: one
    for one in (
        Signature("serving_default", "image", tf.DT_UINT8, _PREDICTED),
        Signature("serving_float", "image", tf.DT_FLOAT, _PREDICTED),
        Signature("serving_bytes", "image_bytes", tf.DT_STRING, _PREDICTED),
        Signature("classify", "inputs", tf.DT_STRING, (CLASSES, SCORES), CLASSIFY_METHOD),
    )
}
CLASSIFY: Final = SIGNATURES["classify"]


def find_signature(name: str) -> Signature:
    """ "" is the default one. Raises InvalidError."""
    signature = SIGNATURES.get(name or DEFAULT_SIGNATURE)
    if signature is None:
        raise InvalidError(f"Serving signature key {shown(name)} not found; there are {', '.join(sorted(SIGNATURES))}")
    return signature


def find_classify_signature(name: str) -> Signature:
    """ "" is the one that classifies, for none other does. Raises InvalidError."""
    signature = find_signature(name) if name else CLASSIFY
    if signature is not CLASSIFY:
        raise InvalidError(
            f"Expected classification signature method_name to be {CLASSIFY_METHOD}. Was: {signature.method};"
            f" signature {signature.name} predicts, {CLASSIFY.name} classifies"
        )
    return signature


def wanted_outputs(signature: Signature, output_filter: Sequence[str]) -> tuple[str, ...]:
    """Those of the signature where the filter is empty. Raises InvalidError for unknown names and for repeated ones."""
    for position, name in enumerate(output_filter):
        if name not in (*signature.outputs, REJECTED):
            raise InvalidError(
                f"output tensor alias not found in signature: {name[:80]} Outputs expected to be in the set"
                f" {{{','.join(signature.outputs)}}}."
            )
        if name in output_filter[:position]:
            raise InvalidError(f"duplicate output tensor alias: {name}")
    return tuple(output_filter) or signature.outputs


def input_dims(dtype: "tf.DataType", image: ImageShape) -> list[int]:
    """The shape of a tensor of images; -1 is the number of them."""
    return [-1] if dtype == tf.DT_STRING else [-1, image.height, image.width, image.channels]


def describe_input(signature: Signature, image: ImageShape) -> str:
    """What a caller may send, for errors."""
    if signature.takes_examples:
        return f"{signature.input_name}, DT_STRING [-1] of serialized tf.Examples"
    pixels = input_dims(tf.DT_UINT8, image)
    return f"image, DT_UINT8 or DT_FLOAT {pixels}, or image_bytes, DT_STRING [-1] of encoded images"


def signature_defs(manifest: Manifest) -> "dict[str, tf.SignatureDef]":
    """Messages by name of the signature."""
    return {signature.name: _signature_def(signature, manifest) for signature in SIGNATURES.values()}


def signature_json(manifest: Manifest) -> dict[str, Any]:
    """The same as TensorFlow Serving writes them in JSON."""
    return {name: _json(message) for name, message in signature_defs(manifest).items()}


def _signature_def(signature: Signature, manifest: Manifest) -> "tf.SignatureDef":
    """Names of tensors within the graph are as TensorFlow gives them; no client can feed them by those."""
    num_classes = len(manifest.class_names)
    dims = input_dims(signature.dtype, manifest.image)
    taken = _tensor_info(f"{signature.name}_{signature.input_name}:0", signature.dtype, dims)
    outputs = {
        name: _tensor_info(
            f"StatefulPartitionedCall:{place}", tf.DT_STRING if name == CLASSES else tf.DT_FLOAT, [-1, num_classes]
        )
        for place, name in enumerate(signature.outputs)
    }
    return tf.SignatureDef(inputs={signature.input_name: taken}, outputs=outputs, method_name=signature.method)


def _tensor_info(name: str, dtype: "tf.DataType", dims: list[int]) -> "tf.TensorInfo":
    return tf.TensorInfo(name=name, dtype=dtype, tensor_shape=shape_of(dims))


def shape_of(dims: Sequence[int]) -> "tf.TensorShapeProto":
    return tf.TensorShapeProto(dim=[tf.TensorShapeProto.Dim(size=size) for size in dims])


def _json(message: "tf.SignatureDef") -> dict[str, Any]:
    return {
        "inputs": {name: _info_json(info) for name, info in message.inputs.items()},
        "outputs": {name: _info_json(info) for name, info in message.outputs.items()},
        "method_name": message.method_name,
        "defaults": {},
    }


def _info_json(info: "tf.TensorInfo") -> dict[str, Any]:
    dims = [{"size": str(dim.size), "name": dim.name} for dim in info.tensor_shape.dim]
    return {
        "dtype": tf.DataType.Name(info.dtype),
        "tensor_shape": {"dim": dims, "unknown_rank": False},
        "name": info.name,
    }
