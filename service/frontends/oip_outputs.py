"""Answers to output tensors of the Open Inference protocol: scores, or the best classes as text."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from cnnsvc.engines.base import Scores
from cnnsvc.errors import InvalidError
from service.frontends.http_parameters import shown
from service.frontends.oip_elements import join_elements
from service.frontends.oip_query import Parameters, refuse_shared_memory
from service.frontends.oip_tensors import OUTPUT_NAME
from service.predictor import Answer


@dataclass(frozen=True, slots=True)
class WantedOutput:
    num_classes: int = 0
    """So many best classes as text; 0 is the scores of all."""
    is_binary: bool | None = None
    """None where the output itself does not say."""


@dataclass(frozen=True, slots=True)
class OutputTensor:
    datatype: str
    shape: list[int]
    values: Scores | list[bytes]
    """FP32 (N, K), or BYTES in row-major order."""

    def raw(self) -> bytes:
        """In the binary layout."""
        if isinstance(self.values, list):
            return join_elements(self.values)
        return self.values.astype("<f4", copy=False).tobytes()

    def numbers(self) -> list[float]:
        """Row-major, with every digit of the float32."""
        assert not isinstance(self.values, list)
        return self.values.ravel().tolist()


def read_wanted(outputs: Iterable[tuple[str, Parameters]]) -> WantedOutput:
    """Name and parameters of each output that a call asks for. Raises InvalidError, UnsupportedError."""
    wanted: WantedOutput | None = None
    for name, parameters in outputs:
        if name != OUTPUT_NAME:
            raise InvalidError(f"output {shown(name)} is unknown; the model has one output, {OUTPUT_NAME!r}")
        if wanted:
            raise InvalidError(f"output {OUTPUT_NAME!r} was asked for twice")
        refuse_shared_memory(parameters)
        num_classes, is_binary = parameters.get("classification", 0), parameters.get("binary_data")
        if type(num_classes) is not int or num_classes < 0:  # True is an int too
            raise InvalidError(
                f"parameter classification is {shown(str(num_classes))}; expected a whole number of classes"
            )
        if is_binary is not None and not isinstance(is_binary, bool):
            raise InvalidError(f"parameter binary_data is {shown(str(is_binary))}; expected true or false")
        wanted = WantedOutput(num_classes, is_binary)
    return wanted or WantedOutput()


def output_of(answer: Answer, wanted: WantedOutput) -> OutputTensor:
    scores_nk = np.stack(answer.scores) if len(answer.scores) > 1 else answer.scores[0][None]
    num_images, num_scores = scores_nk.shape
    if not wanted.num_classes:
        return OutputTensor("FP32", [num_images, num_scores], scores_nk)
    num_classes = min(wanted.num_classes, num_scores)
    rows = [text for scores_k in scores_nk for text in _best(scores_k, answer, num_classes)]
    return OutputTensor("BYTES", [num_images, num_classes], rows)


def _best(scores_k: Scores, answer: Answer, num_classes: int) -> list[bytes]:
    """value:index:label, best first; equal scores in the order of the class names."""
    scores = scores_k.tolist()
    order = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)[:num_classes]
    return [f"{scores_k[index]!s}:{index}:{answer.class_names[index]}".encode() for index in order]
