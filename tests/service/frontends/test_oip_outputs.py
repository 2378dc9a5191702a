"""Answers to output tensors."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from cnnsvc.errors import CnnsvcError
from service.frontends.oip_elements import split_elements
from service.frontends.oip_outputs import OutputTensor, WantedOutput, outputs_of, read_wanted
from service.predictor import Answer
from tests.service.frontends.oip_door import SCORES, answer_of


def output_of(answer: Answer, wanted: WantedOutput) -> OutputTensor:
    (output,) = outputs_of(answer, [wanted])
    return output


@pytest.mark.parametrize("num_images", [1, 2])
def test_scores(num_images: int) -> None:
    """Every digit of every float32, in either form."""
    output = output_of(answer_of(num_images), WantedOutput())
    assert (output.datatype, output.shape) == ("FP32", [num_images, 3])
    assert np.array_equal(np.frombuffer(output.raw(), "<f4").reshape(output.shape), SCORES[:num_images])
    assert np.array_equal(np.array(output.numbers(), np.float32), SCORES[:num_images].ravel())


def test_classes() -> None:
    """Best first, equal ones in the order of the classes, the value exact; more than there are means all."""
    output = output_of(answer_of(2), WantedOutput(2))
    assert (output.datatype, output.shape) == ("BYTES", [2, 2])
    assert output.values == [b"0.7:1:rose", b"0.2:2:tulip", b"0.4:2:tulip", b"0.3:0:daisy"]
    assert split_elements(output.raw(), 4) == output.values
    assert output_of(answer_of(2), WantedOutput(2**40)).shape == [2, 3]


def test_labels_may_have_colons_and_values_few_digits() -> None:
    """The label is what follows the second colon; the value reads back as the same float32."""
    scores = np.array([1.6102027e-23, 0.1234567, 1e-45], np.float32)
    answer = dataclasses.replace(answer_of(1), scores=[scores], class_names=["a:b", "ü", "c"])
    found = output_of(answer, WantedOutput(3))
    assert isinstance(found.values, list)
    parts = [text.decode().split(":", 2) for text in found.values]
    assert [np.float32(value) for value, _, _ in parts] == sorted(scores, reverse=True)
    assert [label for _, _, label in parts] == ["ü", "a:b", "c"]


def test_what_is_wanted() -> None:
    """Nothing named is the scores; the parameters of an output say the rest, and the order is the caller's."""
    assert read_wanted([]) == [WantedOutput()]
    assert read_wanted([("probabilities", {"classification": 3})]) == [WantedOutput(3)]
    assert read_wanted([("probabilities", {"binary_data": False, "other": 1})]) == [WantedOutput(0, False)]
    both = read_wanted([("rejected", {"binary_data": True}), ("probabilities", {})])
    assert both == [WantedOutput(0, True, "rejected"), WantedOutput()]


def test_who_is_rejected() -> None:
    """One truth value an image, a byte each in the binary layout, beside the scores or alone."""
    answer = dataclasses.replace(answer_of(2), rejected=frozenset([1]))
    scores, rejected = outputs_of(answer, [WantedOutput(), WantedOutput(name="rejected")])
    assert (scores.name, scores.shape) == ("probabilities", [2, 3])
    assert (rejected.name, rejected.datatype, rejected.shape) == ("rejected", "BOOL", [2])
    assert (rejected.raw(), rejected.numbers()) == (b"\x00\x01", [False, True])
    assert output_of(answer_of(1), WantedOutput(name="rejected")).numbers() == [False]


@pytest.mark.parametrize(
    ("outputs", "kind", "words"),
    [
        ([("scores", {})], "invalid", "the model has one output, 'probabilities'"),
        ([("probabilities", {})] * 2, "invalid", "twice"),
        ([("rejected", {})] * 2, "invalid", "twice"),
        ([("rejected", {"classification": 1})], "invalid", "only 'probabilities' has classes"),
        ([("probabilities", {"classification": -1})], "invalid", "classification is '-1'"),
        ([("probabilities", {"classification": True})], "invalid", "classification is 'True'"),
        ([("probabilities", {"classification": "3"})], "invalid", "whole number"),
        ([("probabilities", {"binary_data": 1})], "invalid", "binary_data is '1'"),
        ([("probabilities", {"shared_memory_region": "x"})], "unsupported", "shared memory"),
    ],
)
def test_refusals(outputs: list[tuple[str, dict[str, Any]]], kind: str, words: str) -> None:
    """What is not offered is not left out in silence."""
    with pytest.raises(CnnsvcError) as refused:
        read_wanted(outputs)
    assert (refused.value.kind, words in str(refused.value)) == (kind, True), str(refused.value)
