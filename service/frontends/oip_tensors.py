"""Input tensors of the Open Inference protocol to images, whatever door and whatever form of the data they came by."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cnnsvc.errors import InvalidError, TooLargeError, UnsupportedError
from cnnsvc.manifest import ImageShape
from service.batcher import Image
from service.frontends.http_parameters import shown
from service.frontends.oip_elements import split_elements
from service.frontends.pixel_numbers import whole_pixels

INPUT_NAME: Final = "image"
OUTPUT_NAME: Final = "probabilities"
"""Both as the exported networks name them (training.export)."""

Numbers = NDArray[Any]
_DTYPES: Final[dict[str, np.dtype[Any]]] = {"UINT8": np.dtype("u1"), "FP32": np.dtype("<f4")}


@dataclass(frozen=True, slots=True)
class InputTensor:
    name: str
    datatype: str
    shape: Sequence[int]
    contents: bytes | memoryview | Callable[[int], list[bytes] | Numbers]
    """Binary data; or what gives, of so many as the shape says, the elements that came one by one, row-major."""


def is_encoded(tensor: InputTensor) -> bool:
    """Whether its elements are encoded images instead of pixels. Raises InvalidError, UnsupportedError."""
    if tensor.name != INPUT_NAME:
        raise InvalidError(f"input {shown(tensor.name)} is unknown; the model takes one input, {INPUT_NAME!r}")
    if tensor.datatype != "BYTES" and tensor.datatype not in _DTYPES:
        raise UnsupportedError(
            f"datatype {shown(tensor.datatype)} is not offered for input {INPUT_NAME!r}; allowed are UINT8, FP32"
            " (both pixels from 0 to 255) and BYTES (encoded images)"
        )
    return tensor.datatype == "BYTES"


def encoded_images(tensor: InputTensor, max_images: int) -> list[Image]:
    """Of a BYTES tensor. Raises InvalidError, TooLargeError."""
    shape = list(tensor.shape)
    if len(shape) not in (1, 2) or shape[1:] not in ([], [1]):
        raise InvalidError(f"BYTES of shape {_shown_shape(shape)} came; expected [N] or [N, 1], one image an element")
    count = _num_images(shape, max_images)
    contents = tensor.contents
    elements: Any = contents(count) if callable(contents) else split_elements(contents, count)
    check_count("elements", len(elements), shape)
    return list(elements)


def pixel_images(tensor: InputTensor, image: ImageShape, max_images: int) -> list[Image]:
    """Of a UINT8 or FP32 tensor, as the network takes them. Raises InvalidError, TooLargeError."""
    shape = list(tensor.shape)
    hwc, chw = [image.height, image.width, image.channels], [image.channels, image.height, image.width]
    if len(shape) != 4 or shape[1:] not in (hwc, chw):
        raise InvalidError(
            f"{tensor.datatype} of shape {_shown_shape(shape)} came; expected [N, {', '.join(map(str, hwc))}],"
            f" as the metadata say, or [N, {', '.join(map(str, chw))}]"
        )
    count = _num_images(shape, max_images)
    numbers = _numbers(tensor, math.prod(shape))
    if tensor.datatype == "UINT8" and numbers.dtype.kind not in "iu":
        raise InvalidError("UINT8 data has values that are not whole numbers from 0 to 255")
    pixels = whole_pixels(numbers).reshape(shape)
    if shape[1:] != hwc:  # a shape that is both is the declared one
        pixels = np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))
    return [pixels[index] for index in range(count)]


def check_count(what: str, num_given: int, shape: Sequence[int]) -> None:
    """Whether there are as many as a shape says. Raises InvalidError."""
    if num_given != math.prod(shape):
        raise InvalidError(f"{num_given} {what} came for the shape {list(shape)}; expected {math.prod(shape)}")


def _num_images(shape: list[int], max_images: int) -> int:
    if shape[0] < 1:
        raise InvalidError(f"shape {_shown_shape(shape)} came; expected at least one image")
    if shape[0] > max_images:
        raise TooLargeError(f"the call has {shape[0]} images; allowed are {max_images}")
    return shape[0]


def _numbers(tensor: InputTensor, count: int) -> Numbers:
    dtype = _DTYPES[tensor.datatype]
    contents = tensor.contents
    if callable(contents):
        numbers: Any = contents(count)
        check_count("numbers", numbers.size, tensor.shape)
        return np.asarray(numbers)
    if len(contents) != count * dtype.itemsize:
        raise InvalidError(
            f"{len(contents)} bytes came for {tensor.datatype} of shape {list(tensor.shape)};"
            f" expected {count * dtype.itemsize}"
        )
    return np.frombuffer(contents, dtype)


def _shown_shape(shape: list[int]) -> str:
    return shown(str(shape)).strip("'")
