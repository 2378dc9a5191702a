"""TensorFlow Serving's warm-up file: golden images as requests, with the answers they must get as recorded responses.

TensorFlow Serving replays the requests while it loads the bundle and ignores the responses. It refuses a bundle whose
requests fail, so only requests that were answered here are written.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import tensorflow as tf
from tensorflow_serving.apis import classification_pb2, model_pb2, predict_pb2, prediction_log_pb2

from cnnsvc.engines.base import Images, Scores
from training.export.savedmodel import example

WARMUP_PATH: Final = "assets.extra/tf_serving_warmup_requests"


def write_warmup(folder: Path, records: Iterable[Any]) -> None:
    """Writes PredictionLogs where TensorFlow Serving looks for them in a version folder."""
    path = folder / WARMUP_PATH
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record.SerializeToString())


def predict_logs(name: str, images_nhwc: Images, scores_nk: Scores) -> Iterator[Any]:
    """One request to serving_default an image, uint8 (N, H, W, C), with its float32 (N, K) scores."""
    for row in range(len(images_nhwc)):
        request = predict_pb2.PredictRequest(
            model_spec=model_pb2.ModelSpec(name=name, signature_name="serving_default"),
            inputs={"image": tf.make_tensor_proto(images_nhwc[row : row + 1])},
        )
        response = predict_pb2.PredictResponse(
            model_spec=request.model_spec,
            outputs={"probabilities": tf.make_tensor_proto(scores_nk[row : row + 1])},
        )
        yield prediction_log_pb2.PredictionLog(
            predict_log=prediction_log_pb2.PredictLog(request=request, response=response)
        )


def bytes_log(name: str, image_bytes: bytes, scores_1k: Scores) -> Any:
    """A request to serving_bytes with one encoded image."""
    request = predict_pb2.PredictRequest(
        model_spec=model_pb2.ModelSpec(name=name, signature_name="serving_bytes"),
        inputs={"image_bytes": tf.make_tensor_proto([image_bytes])},
    )
    response = predict_pb2.PredictResponse(
        model_spec=request.model_spec, outputs={"probabilities": tf.make_tensor_proto(scores_1k)}
    )
    return prediction_log_pb2.PredictionLog(
        predict_log=prediction_log_pb2.PredictLog(request=request, response=response)
    )


def classify_log(name: str, image_bytes: bytes, class_names: list[str], scores_1k: Scores) -> Any:
    """A request to classify with one encoded image; the classes of the answer come best first."""
    request = classification_pb2.ClassificationRequest(
        model_spec=model_pb2.ModelSpec(name=name, signature_name="classify")
    )
    request.input.example_list.examples.add().ParseFromString(example(image_bytes))
    response = classification_pb2.ClassificationResponse(model_spec=request.model_spec)
    ranked = sorted(zip(scores_1k[0].tolist(), class_names, strict=True), key=lambda pair: -pair[0])
    classes = response.result.classifications.add().classes
    for score, label in ranked:
        classes.add(label=label, score=score)
    return prediction_log_pb2.PredictionLog(
        classify_log=prediction_log_pb2.ClassifyLog(request=request, response=response)
    )
