"""Answers in the outputs of a signature, as values that messages and JSON are made of."""

from collections.abc import Sequence

from cnnsvc.manifest import Manifest
from cnnsvc.pb import tensorflow_pb2 as tf
from service.batcher import Image
from service.call_record import CallRecord
from service.frontends.tfs_signatures import CLASSES, PROBABILITIES, REJECTED, Signature
from service.frontends.tfs_tensors import bool_tensor, float_tensor, string_tensor
from service.predictor import Answer, Query

Rows = Sequence[Sequence[float]] | Sequence[Sequence[str]]


def query_of(
    signature: Signature,
    manifest: Manifest,
    images: Sequence[Image],
    deadline: float | None,
    record: CallRecord | None,
) -> Query:
    """Of a model that has been found: by its version, since its label or the default may move."""
    top_k = len(manifest.class_names) if signature.takes_examples else None
    return Query(images, manifest.name, manifest.version, top_k, deadline, record=record)


def rows_of(name: str, answer: Answer) -> Rows:
    """An output, one row an image: probabilities in the order of the class names, the others best class first."""
    return _class_names(answer) if name == CLASSES else _scores(name, answer)


def tensor_of(name: str, answer: Answer) -> "tf.TensorProto":
    if name == REJECTED:
        return bool_tensor([place in answer.rejected for place in range(len(answer.scores))])
    num_classes = len(answer.class_names)
    if name == CLASSES:
        return string_tensor(_class_names(answer), num_classes)
    return float_tensor(_scores(name, answer), num_classes)


def _class_names(answer: Answer) -> list[list[str]]:
    return [[class_name for class_name, _ in result] for result in answer.results]


def _scores(name: str, answer: Answer) -> list[list[float]]:
    if name == PROBABILITIES:
        return [scores_k.tolist() for scores_k in answer.scores]
    return [[score for _, score in result] for result in answer.results]
