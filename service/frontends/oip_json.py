"""The JSON messages of the Open Inference protocol's inference, and tensors in them."""

from collections.abc import Collection
from typing import Annotated, Any, Final

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from cnnsvc.errors import InvalidError, TooLargeError
from service.frontends.http_parameters import shown
from service.frontends.oip_tensors import InputTensor, Numbers

_BYTES_PER_NUMBER: Final = 40
"""Of JSON: more than any number of a tensor needs, with blanks."""
_MOST_NAMES: Final = 10_000
"""Of whatever the JSON names; Python makes much of many small things."""
_HEAD_BYTES: Final = 256
"""In which all brackets stand that open the data, however it is indented."""


Parameter = bool | int | float | str | None


class JsonInput(msgspec.Struct, frozen=True):
    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Parameter] | None = None
    data: msgspec.Raw = msgspec.Raw(b"")


class JsonRequestedOutput(msgspec.Struct, frozen=True):
    name: str
    parameters: dict[str, Parameter] | None = None


class InferRequest(msgspec.Struct, frozen=True):
    """Unknown fields are ignored, as clients send some (model_name) that the path says."""

    inputs: list[JsonInput]
    id: str | None = None
    parameters: dict[str, Parameter] | None = None
    outputs: list[JsonRequestedOutput] | None = None


class JsonOutput(msgspec.Struct, frozen=True):
    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Any] | UnsetType = UNSET
    data: list[float] | list[bool] | list[str] | UnsetType = UNSET


class InferResponse(msgspec.Struct, frozen=True):
    model_name: str
    model_version: str
    outputs: list[JsonOutput]
    id: str | UnsetType = UNSET


_DECODER: Final = msgspec.json.Decoder(InferRequest)
_BASE64: Final = msgspec.json.Decoder(list[bytes])
_BASE64_IN_COLUMNS: Final = msgspec.json.Decoder(list[Annotated[list[bytes], msgspec.Meta(min_length=1, max_length=1)]])
_WHOLE: Final = msgspec.json.Decoder(list[int])
_NUMBERS: Final = msgspec.json.Decoder(list[float])
_NO_BRACKETS: Final = bytes.maketrans(b"[]", b"  ")


def read_request(text: bytes | memoryview) -> InferRequest:
    """Raises InvalidError, and TooLargeError for very many small things."""
    if (num_names := bytes(text).count(b":")) > _MOST_NAMES:
        raise TooLargeError(f"the JSON has {num_names} names with values; allowed are {_MOST_NAMES}")
    try:
        return _DECODER.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidError(f"the JSON is not an inference request: {error}") from None


def read_data(given: JsonInput) -> InputTensor:
    """A tensor whose data stands in the JSON, flat or nested as its shape."""
    if not has_data(given):
        raise InvalidError(f"input {shown(given.name)} has no data")

    def elements(count: int) -> list[bytes] | Numbers:
        if given.datatype == "BYTES":
            return _read_elements(given)
        return _read_numbers(given, count)

    return InputTensor(given.name, given.datatype, given.shape, elements)


def has_data(given: JsonInput) -> bool:
    return bytes(memoryview(given.data)[:5]) not in (b"", b"null")


def _read_elements(given: JsonInput) -> list[bytes]:
    content_type = (given.parameters or {}).get("content_type")
    if content_type != "base64":
        raise InvalidError(
            "JSON cannot hold an image as text: send BYTES as base64 with the input's parameter content_type base64,"
            f" or as binary data; content_type is {shown(str(content_type))}"
        )
    found = _decode(given.data, {1: _BASE64, 2: _BASE64_IN_COLUMNS})
    return [each[0] if isinstance(each, list) else each for each in found]


def _read_numbers(given: JsonInput, count: int) -> Numbers:
    """Decoded as what they must be, since a list of anything else may take more memory than it has bytes."""
    num_bytes = len(memoryview(given.data))
    if num_bytes > _BYTES_PER_NUMBER * (count + 1):
        raise InvalidError(f"data of {num_bytes} bytes came for {count} numbers")
    if given.datatype == "UINT8":
        whole = _decode(_flat(given.data), {1: _WHOLE})
        try:
            return np.frombuffer(bytes(whole), np.uint8)
        except ValueError:
            raise InvalidError("UINT8 data has values that are not from 0 to 255") from None
    return np.fromiter(_decode(_flat(given.data), {1: _NUMBERS}), np.float64)


def _flat(data: msgspec.Raw) -> bytes:
    """Numbers without the brackets of images, rows and pixels, for each pair of which Python would make a list."""
    text = bytes(memoryview(data))
    _check_depth(depth := _depth(text), (1, 4))
    return text if depth == 1 else b"[" + text.translate(_NO_BRACKETS) + b"]"


def _depth(data: msgspec.Raw | bytes) -> int:
    """How many brackets the data begin with."""
    head = bytes(memoryview(data)[:_HEAD_BYTES]).translate(None, b" \t\r\n")
    return len(head) - len(head.lstrip(b"["))


def _check_depth(depth: int, allowed: Collection[int]) -> None:
    """Raises InvalidError."""
    if depth not in allowed:
        raise InvalidError(f"the data is nested {depth} deep; expected {' or '.join(map(str, allowed))}")


def _decode(data: msgspec.Raw | bytes, decoders: dict[int, "msgspec.json.Decoder[Any]"]) -> Any:
    """By the decoder of its depth."""
    _check_depth(depth := _depth(data), decoders)
    try:
        return decoders[depth].decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, OverflowError) as error:
        raise InvalidError(f"the data is not as its datatype says: {error}") from None
