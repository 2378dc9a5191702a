"""The SavedModel as TensorFlow's own loader sees it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from cnnsvc import pixels
from cnnsvc.engines.base import Images, Scores
from cnnsvc.errors import ExportError, ImageError
from tests.encoded import encode, scene
from tests.training.export.conftest import Exported
from tests.training.export.networks import SIZE, tiny_network
from training.export.savedmodel import CLASSIFY_METHOD, LoadedSavedModel, example

pytestmark = pytest.mark.slow

FILES = [encode("PNG", scene(SIZE, SIZE, seed)) for seed in range(5)]
"""As large as the network wants them, so that every decoder gives the same pixels."""


def images_of(files: list[bytes], channels: int = 3) -> Images:
    return np.stack([pixels.decode(file, SIZE, SIZE, channels) for file in files])


@pytest.fixture(scope="module")
def loaded(exported: Exported) -> LoadedSavedModel:
    return LoadedSavedModel(exported.path, exported.trained.class_names)


@pytest.fixture(scope="module")
def expected(exported: Exported) -> Scores:
    """What the trained network itself says about FILES."""
    return np.asarray(exported.trained.network(images_of(FILES).astype(np.float32), training=False))


def test_the_four_signatures_answer_as_the_network(loaded: LoadedSavedModel, expected: Scores) -> None:
    """Pixels as uint8 or float32, files and tf.Examples all get the trained network's scores, in class order."""
    images_nhwc = images_of(FILES)
    for found in (
        loaded.serving_default(images_nhwc),
        loaded.serving_float(images_nhwc),
        loaded.serving_bytes(FILES),
        loaded.classify(FILES),
    ):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_batches_are_free(loaded: LoadedSavedModel, expected: Scores) -> None:
    """One image alone gets the scores that it gets among others."""
    np.testing.assert_allclose(loaded.serving_default(images_of(FILES[2:3])), expected[2:3], atol=1e-6)
    np.testing.assert_allclose(loaded.classify(FILES[2:3]), expected[2:3], atol=1e-6)


def test_a_file_that_is_no_image(loaded: LoadedSavedModel) -> None:
    """Both signatures for files report it as an ImageError."""
    for run in (loaded.serving_bytes, loaded.classify):
        with pytest.raises(ImageError, match="cannot decode"):
            run([FILES[0], b"no image"])


@pytest.mark.parametrize("names", [["blue", "green", "rot"], ["blue", "green"], ["blue", "green", "green"]])
def test_other_names_fail_the_export(exported: Exported, names: list[str]) -> None:
    """A SavedModel whose classes are not those of the training says so in one line."""
    with pytest.raises(ExportError, match=r"classify names the classes .*red"):
        LoadedSavedModel(exported.path, names).classify(FILES[:1])


def test_classify_answers_with_names(exported: Exported, expected: Scores) -> None:
    """The classify signature gives every class's name, best first, with its score."""
    signature = tf.saved_model.load(str(exported.path)).signatures["classify"]
    answer = signature(inputs=tf.constant([example(file) for file in FILES]))
    order = np.argsort(-expected, axis=1)
    names = np.array(exported.trained.class_names)[order]
    assert [[name.decode() for name in row] for row in answer["classes"].numpy()] == names.tolist()
    np.testing.assert_allclose(answer["scores"].numpy(), np.take_along_axis(expected, order, axis=1), atol=1e-6)


def test_the_signatures_as_tensorflow_serving_reads_them(exported: Exported) -> None:
    """Names, types, shapes and methods of inputs and outputs are those that clients are told."""
    message = saved_model_pb2.SavedModel.FromString((exported.path / "saved_model.pb").read_bytes())
    (graph,) = message.meta_graphs
    assert list(graph.meta_info_def.tags) == ["serve"]
    found = {
        name: (
            signature.method_name.removeprefix("tensorflow/serving/"),
            {key: described(info) for key, info in signature.inputs.items()},
            {key: described(info) for key, info in signature.outputs.items()},
        )
        for name, signature in graph.signature_def.items()
        if not name.startswith("__")
    }
    scores = {"probabilities": ("float32", (-1, 3))}
    image_shape = (-1, SIZE, SIZE, 3)
    assert found == {
        "serving_default": ("predict", {"image": ("uint8", image_shape)}, scores),
        "serving_float": ("predict", {"image": ("float32", image_shape)}, scores),
        "serving_bytes": ("predict", {"image_bytes": ("string", (-1,))}, scores),
        "classify": (
            "classify",
            {"inputs": ("string", (-1,))},
            {"classes": ("string", (-1, 3)), "scores": ("float32", (-1, 3))},
        ),
    }
    assert CLASSIFY_METHOD == "tensorflow/serving/classify"


def described(info: saved_model_pb2.SavedModel) -> tuple[str, tuple[int, ...]]:
    """Type and shape of a TensorInfo; -1 is a free size."""
    return tf.dtypes.as_dtype(info.dtype).name, tuple(dim.size for dim in info.tensor_shape.dim)


def test_no_traces_of_keras_and_of_this_machine(exported: Exported) -> None:
    """The file holds variables and functions only: no Keras layers, no paths of the machine that trained."""
    content = (exported.path / "saved_model.pb").read_bytes()
    assert b"_tf_keras" not in content
    assert str(Path(__file__).parents[3]).encode() not in content
    assert not (exported.path / "keras_metadata.pb").exists()
    assert not (exported.path / "assets").exists()


_SCRIPT = """
import json, sys
import tensorflow as tf

sys.modules["keras"] = None  # whatever asks for Keras from here on fails
signatures = tf.saved_model.load(sys.argv[1]).signatures
image_bytes = open(sys.argv[2], "rb").read()
feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[image_bytes]))
message = tf.train.Example(features=tf.train.Features(feature={"image/encoded": feature})).SerializeToString()
image = tf.io.decode_png(image_bytes)[None]
answers = {
    "serving_default": signatures["serving_default"](image=image)["probabilities"],
    "serving_float": signatures["serving_float"](image=tf.cast(image, tf.float32))["probabilities"],
    "serving_bytes": signatures["serving_bytes"](image_bytes=tf.constant([image_bytes]))["probabilities"],
    "classify": signatures["classify"](inputs=tf.constant([message]))["scores"],
}
print(json.dumps({name: answer.numpy()[0].tolist() for name, answer in answers.items()}))
"""


def test_a_fresh_process_needs_tensorflow_alone(exported: Exported, expected: Scores, tmp_path: Path) -> None:
    """TensorFlow's loader runs all four signatures with neither this program nor Keras at hand."""
    (tmp_path / "image.png").write_bytes(FILES[0])
    ran = subprocess.run(
        [sys.executable, "-P", "-c", _SCRIPT, str(exported.path), str(tmp_path / "image.png")],
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert ran.returncode == 0, ran.stderr
    answers = json.loads(ran.stdout)
    np.testing.assert_allclose(answers.pop("classify"), sorted(expected[0], reverse=True), atol=1e-6)
    assert set(answers) == {"serving_default", "serving_float", "serving_bytes"}
    for scores in answers.values():
        np.testing.assert_allclose(scores, expected[0], atol=1e-6)


def test_grey_networks(tmp_path: Path) -> None:
    """A network for one channel gets grey pixels from every signature; class names may be of any script."""
    from cnnsvc.manifest import ImageShape
    from training.export.savedmodel import write_saved_model

    network, names = tiny_network(1), ["rosé", "バラ", "a\nb"]
    write_saved_model(network, names, ImageShape(SIZE, SIZE, 1), tmp_path)
    loaded = LoadedSavedModel(tmp_path, names)
    images_nhwc = images_of(FILES, 1)
    expected = np.asarray(network(images_nhwc.astype(np.float32), training=False))
    np.testing.assert_allclose(loaded.serving_default(images_nhwc), expected, atol=1e-6)
    for found in (loaded.serving_bytes(FILES), loaded.classify(FILES)):
        np.testing.assert_allclose(found, expected, atol=0.02)  # grey values are rounded elsewhere
