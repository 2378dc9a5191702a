"""What a foreign server says of its model, read as what we need: one input for pixels, one output of scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cnnsvc.engines.base import Scores
from cnnsvc.errors import EngineError

_PIXELS: Final = ("UINT8", "FP32")
_SCORES: Final = "FP32"
_GREATEST: Final = 1.01
"""Of a score that was reckoned with few bits."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or an output, in the words of the Open Inference Protocol."""

    name: str
    type: str
    shape: tuple[int, ...] | None
    """-1 is any size, None any shape."""

    def __str__(self) -> str:
        return f"{self.name} {self.type} {'of any shape' if self.shape is None else list(self.shape)}"


@dataclass(frozen=True, slots=True)
class Signature:
    input_name: str
    is_float: bool
    """Whether pixels go there as float32, 0..255 as they are."""
    output_name: str


def read_signature(
    inputs: Sequence[Tensor], outputs: Sequence[Tensor], image_hwc: tuple[int, ...], num_classes: int
) -> Signature:
    """Raises EngineError where it is not plain what goes in and what comes out."""
    pixels = [one for one in inputs if one.type in _PIXELS and _fits(one.shape, image_hwc)]
    if len(inputs) != 1 or not pixels:
        wanted = ", ".join(map(str, image_hwc))
        raise EngineError(f"the upstream's inputs are {_told(inputs)}; expected one, UINT8 or FP32 [-1, {wanted}]")
    scores = [one for one in outputs if one.type == _SCORES and _fits(one.shape, (num_classes,))]
    if len(scores) != 1:
        raise EngineError(f"the upstream's outputs are {_told(outputs)}; expected one that is FP32 [-1, {num_classes}]")
    return Signature(pixels[0].name, pixels[0].type != "UINT8", scores[0].name)


def scores_of(flat: NDArray[np.float32], type_: str, shape: Sequence[int], expected: tuple[int, int]) -> Scores:
    """Float32 (N, K) of an answer. Raises EngineError for another type, shape or number than expected, and for NaN."""
    if type_ != _SCORES or tuple(shape) != expected or flat.size != expected[0] * expected[1]:
        raise EngineError(
            f"the upstream answered {flat.size} scores, {type_} {list(shape)}; expected {_SCORES} {list(expected)}"
        )
    if not ((flat >= 0) & (flat <= _GREATEST)).all():  # NaN is neither
        raise EngineError(f"the upstream answered scores from {flat.min():g} to {flat.max():g}; expected 0 to 1")
    return flat.reshape(expected)


def _fits(shape: tuple[int, ...] | None, expected: tuple[int, ...]) -> bool:
    """Behind the batch."""
    if shape is None:
        return True
    sizes = zip(shape[1:], expected, strict=False)
    return len(shape) == len(expected) + 1 and all(size in (-1, wanted) for size, wanted in sizes)


def _told(tensors: Sequence[Tensor]) -> str:
    return "; ".join(map(str, tensors)) or "none"
