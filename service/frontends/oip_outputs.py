"""Answers to output tensors of the Open Inference protocol: scores, the best classes as text, or who is rejected.

The output `rejected` is answered where it is asked for and told of nowhere: NVIDIA's own image client refuses a model
with more than one output.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cnnsvc.engines.base import Scores
from cnnsvc.errors import InvalidError
from service.frontends.http_parameters import shown
from service.frontends.oip_elements import join_elements
from service.frontends.oip_query import Parameters, refuse_shared_memory
from service.frontends.oip_tensors import OUTPUT_NAME
from service.predictor import Answer

REJECTED_NAME: Final = "rejected"


@dataclass(frozen=True, slots=True)
class WantedOutput:
    num_classes: int = 0
    """So many best classes as text; 0 is the scores of all."""
    is_binary: bool | None = None
    """None where the output itself does not say."""
    name: str = OUTPUT_NAME


@dataclass(frozen=True, slots=True)
class OutputTensor:
    name: str
    datatype: str
    shape: list[int]
    values: Scores | NDArray[np.bool_] | list[bytes]
    """FP32 (N, K), BOOL (N,), or BYTES in row-major order."""

    def raw(self) -> bytes:
        """In the binary layout."""
        if isinstance(self.values, list):
            return join_elements(self.values)
        return self.values.astype("?" if self.datatype == "BOOL" else "<f4", copy=False).tobytes()

    def numbers(self) -> list[float] | list[bool]:
        """Row-major, with every digit of the float32."""
        assert not isinstance(self.values, list)
        numbers: list[float] | list[bool] = self.values.ravel().tolist()
        return numbers


def read_wanted(outputs: Iterable[tuple[str, Parameters]]) -> list[WantedOutput]:
    """Name and parameters of each output that a call asks for, the scores where it asks for none.

    Raises InvalidError, UnsupportedError.
    """
    wanted: list[WantedOutput] = []
    for name, parameters in outputs:
        if name not in (OUTPUT_NAME, REJECTED_NAME):
            raise InvalidError(
                f"output {shown(name)} is unknown; the model has one output, {OUTPUT_NAME!r}, and answers"
                f" {REJECTED_NAME!r} where that is asked for"
            )
        if any(one.name == name for one in wanted):
            raise InvalidError(f"output {name!r} was asked for twice")
        wanted.append(_read_one(name, parameters))
    return wanted or [WantedOutput()]


def outputs_of(answer: Answer, wanted: list[WantedOutput]) -> list[OutputTensor]:
    """In the order in which they were asked for."""
    return [_rejected(answer) if one.name == REJECTED_NAME else _scores(answer, one.num_classes) for one in wanted]


def _read_one(name: str, parameters: Parameters) -> WantedOutput:
    refuse_shared_memory(parameters)
    num_classes, is_binary = parameters.get("classification", 0), parameters.get("binary_data")
    if type(num_classes) is not int or num_classes < 0:  # True is an int too
        raise InvalidError(f"parameter classification is {shown(str(num_classes))}; expected a whole number of classes")
    if num_classes and name == REJECTED_NAME:
        raise InvalidError(f"parameter classification came for output {name!r}; only {OUTPUT_NAME!r} has classes")
    if is_binary is not None and not isinstance(is_binary, bool):
        raise InvalidError(f"parameter binary_data is {shown(str(is_binary))}; expected true or false")
    return WantedOutput(num_classes, is_binary, name)


def _scores(answer: Answer, num_wanted: int) -> OutputTensor:
    scores_nk = np.stack(answer.scores) if len(answer.scores) > 1 else answer.scores[0][None]
    num_images, num_scores = scores_nk.shape
    if not num_wanted:
        return OutputTensor(OUTPUT_NAME, "FP32", [num_images, num_scores], scores_nk)
    num_classes = min(num_wanted, num_scores)
    rows = [text for scores_k in scores_nk for text in _best(scores_k, answer, num_classes)]
    return OutputTensor(OUTPUT_NAME, "BYTES", [num_images, num_classes], rows)


def _rejected(answer: Answer) -> OutputTensor:
    rejected = np.array([place in answer.rejected for place in range(len(answer.scores))], np.bool_)
    return OutputTensor(REJECTED_NAME, "BOOL", [len(rejected)], rejected)


def _best(scores_k: Scores, answer: Answer, num_classes: int) -> list[bytes]:
    """value:index:label, best first; equal scores in the order of the class names."""
    scores = scores_k.tolist()
    order = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)[:num_classes]
    return [f"{scores_k[index]!s}:{index}:{answer.class_names[index]}".encode() for index in order]
