"""The warm-up file as TensorFlow Serving reads it."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from tests.training.export.conftest import Exported
from training.export.warmup import WARMUP_PATH

pytestmark = pytest.mark.slow


def records(folder: Path) -> list[Any]:
    """PredictionLogs by TensorFlow's own reader."""
    dataset = tf.data.TFRecordDataset(str(folder / WARMUP_PATH))
    return [prediction_log_pb2.PredictionLog.FromString(record.numpy()) for record in dataset]


def test_the_records_run_and_give_their_answers(exported: Exported) -> None:
    """Every recorded request runs through the SavedModel and gets the response that was recorded with it."""
    signatures = tf.saved_model.load(str(exported.path)).signatures
    asked = []
    for record in records(exported.path):
        kind = record.WhichOneof("log_type")
        log = getattr(record, kind)
        name = log.request.model_spec.signature_name
        asked.append((kind, name))
        if kind == "predict_log":
            inputs = {key: tf.constant(tf.make_ndarray(value)) for key, value in log.request.inputs.items()}
            expected = tf.make_ndarray(log.response.outputs["probabilities"])
            np.testing.assert_allclose(signatures[name](**inputs)["probabilities"].numpy(), expected, atol=1e-6)
        else:
            check_classification(signatures[name], log)
    num_examples = len(exported.trained.class_names)
    assert asked == [
        *[("predict_log", "serving_default")] * num_examples,
        ("predict_log", "serving_bytes"),
        ("classify_log", "classify"),
    ]


def check_classification(signature: Any, log: Any) -> None:
    """Runs the examples as TensorFlow Serving's Classify does: serialized, into `inputs`."""
    inputs = [one.SerializeToString() for one in log.request.input.example_list.examples]
    answer = signature(inputs=tf.constant(inputs))
    for row, classification in enumerate(log.response.result.classifications):
        assert [one.label.encode() for one in classification.classes] == list(answer["classes"].numpy()[row])
        scores = [one.score for one in classification.classes]
        np.testing.assert_allclose(scores, answer["scores"].numpy()[row], atol=1e-6)


def test_the_model_is_named(exported: Exported) -> None:
    """Requests name the model and no version, since they are written before the version is known."""
    for record in records(exported.path):
        spec = getattr(record, record.WhichOneof("log_type")).request.model_spec
        assert spec.name == "shapes"
        assert not spec.HasField("version")


def test_a_reader_without_tensorflow(exported: Exported) -> None:
    """The file is plain TFRecord: length, checksum, data, checksum."""
    content = (exported.path / WARMUP_PATH).read_bytes()
    position, found = 0, []
    while position < len(content):
        (length,) = struct.unpack_from("<Q", content, position)
        found.append(content[position + 12 : position + 12 + length])
        position += 12 + length + 4
    assert position == len(content)
    assert [prediction_log_pb2.PredictionLog.FromString(data) for data in found] == records(exported.path)
