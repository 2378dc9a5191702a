"""The SavedModel: four signatures over one set of weights, loadable by TensorFlow without Keras."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf

from cnnsvc.engines.base import Images, Scores
from cnnsvc.errors import ExportError, ImageError
from cnnsvc.manifest import ImageShape
from training.export.tf_pixels import decode_batch

CLASSIFY_METHOD: Final = "tensorflow/serving/classify"


def write_saved_model(network: keras.Model, class_names: list[str], image: ImageShape, folder: Path) -> None:
    """Writes saved_model.pb and variables/ into the folder.

    serving_default: `image` uint8 (N, H, W, C) to `probabilities` float32 (N, K); serving_float: the same for float32
    0..255; serving_bytes: `image_bytes` (N,), encoded images; classify: `inputs` (N,), serialized tf.Examples with
    image/encoded, to `classes` and `scores` (N, K), best first.
    """
    module = tf.Module(name="cnnsvc")
    # The bare variables: tracking the network itself would store Keras' layers and traces beside them.
    module.weights = [weight.value for weight in network.weights]
    tf.saved_model.save(module, str(folder), signatures=_signatures(network, class_names, image))
    # Saving names every method predict; TensorFlow Serving's Classify call wants its own.
    updater = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(str(folder))
    updater.replace_method_name(signature_key="classify", method_name=CLASSIFY_METHOD, tags="serve")
    updater.save()
    (folder / "assets").rmdir()  # written for every SavedModel; ours has no assets


def _signatures(network: keras.Model, class_names: list[str], image: ImageShape) -> dict[str, Any]:
    shape = (None, image.height, image.width, image.channels)
    names = tf.constant(class_names)

    def scores_of(pixels_nhwc: Any) -> Any:
        return tf.cast(network(pixels_nhwc, training=False), tf.float32)

    # A signature's inputs are called as the arguments are.
    def serving_default(image: Any) -> dict[str, Any]:
        return {"probabilities": scores_of(tf.cast(image, tf.float32))}

    def serving_float(image: Any) -> dict[str, Any]:
        return {"probabilities": scores_of(image)}

    def serving_bytes(image_bytes: Any) -> dict[str, Any]:
        return {"probabilities": scores_of(decode_batch(image_bytes, image))}

    def classify(inputs: Any) -> dict[str, Any]:
        features = {"image/encoded": tf.io.FixedLenFeature((), tf.string)}
        encoded = tf.io.parse_example(inputs, features)["image/encoded"]
        best = tf.math.top_k(scores_of(decode_batch(encoded, image)), k=len(class_names))
        return {"classes": tf.gather(names, best.indices), "scores": best.values}

    def signature(function: Callable[[Any], Any], name: str, shape: tuple[int | None, ...], dtype: Any) -> Any:
        return tf.function(function, input_signature=[tf.TensorSpec(shape, dtype, name=name)])

    return {
        "serving_default": signature(serving_default, "image", shape, tf.uint8),
        "serving_float": signature(serving_float, "image", shape, tf.float32),
        "serving_bytes": signature(serving_bytes, "image_bytes", (None,), tf.string),
        "classify": signature(classify, "inputs", (None,), tf.string),
    }


class LoadedSavedModel:
    """The four signatures as functions from arrays to float32 (N, K) scores in the order of the class names."""

    def __init__(self, folder: Path, class_names: list[str]) -> None:
        self._loaded = tf.saved_model.load(str(folder))  # owns the variables that the signatures use
        self._signatures = self._loaded.signatures
        self._positions = {name.encode(): position for position, name in enumerate(class_names)}

    def serving_default(self, images_nhwc: Images) -> Scores:
        return _probabilities(self._signatures["serving_default"](image=tf.constant(images_nhwc)))

    def serving_float(self, images_nhwc: Images) -> Scores:
        return _probabilities(self._signatures["serving_float"](image=tf.constant(images_nhwc, tf.float32)))

    def serving_bytes(self, images: list[bytes]) -> Scores:
        """Raises ImageError where TensorFlow cannot decode one of the images."""
        try:
            return _probabilities(self._signatures["serving_bytes"](image_bytes=tf.constant(images)))
        except tf.errors.InvalidArgumentError as error:
            raise ImageError(f"TensorFlow cannot decode an image: {error.message}") from None

    def classify(self, images: list[bytes]) -> Scores:
        """Raises ImageError where TensorFlow cannot decode one of the images, ExportError for other names than ours."""
        try:
            answer = self._signatures["classify"](inputs=tf.constant([example(one) for one in images]))
        except tf.errors.InvalidArgumentError as error:
            raise ImageError(f"TensorFlow cannot decode an image: {error.message}") from None
        return self._in_class_order(answer["classes"].numpy().tolist(), answer["scores"].numpy())

    def _in_class_order(self, names_nk: list[list[bytes]], scores_nk: Scores) -> Scores:
        """From the scores of these classes, row by row. Raises ExportError unless a row names each class once."""
        for names in names_nk:
            if sorted(names) != sorted(self._positions):
                shown = b", ".join(names).decode("utf-8", "replace")
                raise ExportError(f"the signature classify names the classes {shown}; expected each of ours once")
        columns_nk = np.asarray([[self._positions[name] for name in names] for names in names_nk])
        ordered = np.empty_like(scores_nk)
        np.put_along_axis(ordered, columns_nk, scores_nk, axis=1)
        return ordered


def example(image_bytes: bytes) -> bytes:
    """A serialized tf.Example with the feature image/encoded."""
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[image_bytes]))
    message: bytes = tf.train.Example(
        features=tf.train.Features(feature={"image/encoded": feature})
    ).SerializeToString()
    return message


def _probabilities(answer: dict[str, Any]) -> Scores:
    scores: Scores = answer["probabilities"].numpy()
    return scores
