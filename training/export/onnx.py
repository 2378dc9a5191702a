"""The ONNX file: uint8 in, probabilities out, class names in its metadata."""

import json
from pathlib import Path
from typing import Any, Final

import keras
import onnx
import tensorflow as tf
import tf2onnx

from cnnsvc.manifest import ImageShape
from cnnsvc.pixels import PIXELS_VERSION

ONNX_NAME: Final = "model.onnx"
_OPSET: Final = 17


def write_onnx(network: keras.Model, metadata: dict[str, str], image: ImageShape, path: Path) -> None:
    """Writes `image` uint8 (N, H, W, C) to `probabilities` float32 (N, K), N free, checked by onnx.checker."""
    signature = [tf.TensorSpec((None, image.height, image.width, image.channels), tf.uint8, name="image")]

    def infer(image: Any) -> dict[str, Any]:
        return {"probabilities": tf.cast(network(tf.cast(image, tf.float32), training=False), tf.float32)}

    # From the function, not from the Keras model: tf2onnx 1.17 cannot read the models of Keras 3.
    model, _ = tf2onnx.convert.from_function(
        tf.function(infer, input_signature=signature), input_signature=signature, opset=_OPSET
    )
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def metadata_of(name: str, class_names: list[str], notation: str) -> dict[str, str]:
    """What travels inside the file for whoever has nothing else."""
    return {
        "name": name,
        "class_names": json.dumps(class_names, ensure_ascii=False),
        "pixels": str(PIXELS_VERSION),
        "notation": notation,
    }
