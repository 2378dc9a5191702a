"""The JSON of TensorFlow Serving's REST API: bodies to images, answers to bodies.

Unknown keys of a body are let pass, as there. NaN and Infinity are no JSON and no pixels, and are refused.
"""

import asyncio
import base64
import binascii
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from cnnsvc.errors import InvalidError, TooLargeError
from cnnsvc.manifest import ImageShape
from cnnsvc.pb import tensorflow_pb2 as tf
from service.batcher import Image
from service.frontends.pixel_numbers import PixelRange, pixels_of
from service.frontends.tfs_examples import FEATURE, FEATURE_NAMES, image_of_serialized
from service.frontends.tfs_signatures import Signature, describe_input, input_dims
from service.frontends.tfs_tensors import check_number, the_input

ParseErrors: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_B64: Final = "b64"
_SPARE: Final = 100
"""Lists and commas that belong to no image."""
_MOST_FEATURES: Final = 1000
"""Of an example; all but the image are left alone."""
_WEB_SAFE: Final = str.maketrans("-_", "+/")


class _Binary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    b64: bytes


class _PlainPredict(msgspec.Struct, frozen=True):
    """What nearly every call is: encoded images in rows. Read without making anything else of it."""

    instances: list[_Binary]
    signature_name: str = ""
    inputs: msgspec.Raw | UnsetType = UNSET


class _Predict(msgspec.Struct, frozen=True):
    signature_name: str = ""
    instances: msgspec.Raw | UnsetType = UNSET
    inputs: msgspec.Raw | UnsetType = UNSET


class Classify(msgspec.Struct, frozen=True):
    examples: list[dict[str, Any]]
    signature_name: str = ""
    context: dict[str, Any] = {}


_PLAIN: Final = msgspec.json.Decoder(_PlainPredict)
_ANY: Final = msgspec.json.Decoder(_Predict)
_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_BINARY: Final = msgspec.json.Decoder(dict[str, str])
_CLASSIFY: Final = msgspec.json.Decoder(Classify)
_ENCODER: Final = msgspec.json.Encoder()


@dataclass(frozen=True)
class PredictBody:
    signature_name: str
    is_row: bool
    """instances came, not inputs."""
    name: str | None
    """Of the input; None where values came without one."""
    values: list[bytes] | list[msgspec.Raw]
    """Bytes of images, or the JSON of each value."""


def read_predict(body: bytes, image: ImageShape, max_images: int) -> PredictBody:
    """Raises InvalidError, and TooLargeError for a body of more values than so many images have."""
    _check_size(body, image, max_images)
    try:
        plain = _PLAIN.decode(body)
        if isinstance(plain.inputs, UnsetType):
            return PredictBody(plain.signature_name, True, None, [one.b64 for one in plain.instances])
    except ParseErrors:
        pass  # something else, or nothing: that is told by reading it as it is
    request: _Predict = _parse(_ANY, body, "a predict request")
    instances, inputs = request.instances, request.inputs
    if isinstance(instances, msgspec.Raw) and isinstance(inputs, UnsetType):
        return PredictBody(request.signature_name, True, *_rows(_values(instances, max_images)))
    if isinstance(inputs, msgspec.Raw) and isinstance(instances, UnsetType):
        return PredictBody(request.signature_name, False, *_column(inputs, max_images))
    came = "neither" if isinstance(inputs, UnsetType) else "both"
    raise InvalidError(f"{came} of the keys instances and inputs came; expected one of them")


async def images_of(signature: Signature, body: PredictBody, image: ImageShape, max_images: int) -> list[Image]:
    """Lets others have their turn after each image in numbers. Raises InvalidError or TooLargeError."""
    if body.name is not None:
        the_input(signature, [body.name], image)
    check_number(len(body.values), max_images)
    seen, images = PixelRange(), list[Image]()
    for place, value in enumerate(body.values, 1):
        if not isinstance(value, msgspec.Raw):
            images.append(value)
        elif _first(value) == b"{":
            images.append(binary(_parse(_BINARY, value, f"value {place}"), f"value {place}"))
        elif _first(value) == b"[" and not signature.takes_examples:
            images.append(pixels_of(_numbers(value, image), seen))
            await asyncio.sleep(0)
        else:
            raise InvalidError(
                f'value {place} does not match signature {signature.name}: expected {{"b64": "…"}} for a string, or'
                f" lists of numbers for pixels; it takes {describe_input(signature, image)}"
            )
    seen.check()
    return (
        [image_of_serialized(one) for one in images if isinstance(one, bytes)] if signature.takes_examples else images
    )


def read_classify(body: bytes, max_images: int) -> Classify:
    """Raises InvalidError, and TooLargeError for a body of more values than so many examples may have."""
    most = max_images * _MOST_FEATURES + _SPARE
    if body.count(b"{") + body.count(b"[") > most or body.count(b",") > most:
        raise TooLargeError(f"the body has more than {most} values; allowed are {max_images} images")
    found: Classify = _parse(_CLASSIFY, body, "a classify request")
    return found


def example_images(request: Classify) -> list[bytes]:
    """The encoded image of each example. Raises InvalidError."""
    return [_example_image(one, request.context, place) for place, one in enumerate(request.examples, 1)]


def binary(value: Any, where: str) -> bytes:
    """Of an object that has b64 and nothing else, of either alphabet, padded or not. Raises InvalidError."""
    if not isinstance(value, dict) or list(value) != [_B64] or not isinstance(value[_B64], str):
        raise InvalidError(f'{where} is not {{"b64": "…"}} with an encoded image; expected that and no other key')
    text = value[_B64].translate(_WEB_SAFE).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidError(f"{where} is not base64: {error}") from None


def _parse(decoder: msgspec.json.Decoder[Any], body: bytes | msgspec.Raw, what: str) -> Any:
    if not body:
        raise InvalidError(f"the body is empty; expected {what} in JSON")
    try:
        return decoder.decode(body)
    except ParseErrors as error:
        text = bytes(memoryview(body))
        hint = "; NaN and Infinity are no JSON" if b"NaN" in text or b"Infinity" in text else ""
        raise InvalidError(f"the body is not {what} in JSON: {error}{hint}") from None


def _check_size(body: bytes, image: ImageShape, max_images: int) -> None:
    """Before it is read: Python makes much of many small lists, and of many values outside of lists."""
    most_lists = max_images * (2 + image.height * (1 + image.width))
    most_named = 2 * max_images + _SPARE
    num_objects = body.count(b"{")
    num_lists = body.count(b"[") + num_objects
    if (
        num_objects > most_named
        or body.count(b":") > most_named
        or num_lists > most_lists + _SPARE
        or body.count(b",") > image.channels * num_lists + _SPARE
    ):
        raise TooLargeError(f"the body has more values than {max_images} images have, which are allowed")


def _rows(instances: list[msgspec.Raw]) -> tuple[str | None, list[msgspec.Raw]]:
    named = [_parse(_OBJECT, one, "an instance") if _first(one) == b"{" else None for one in instances]
    if not any(one is not None and list(one) != [_B64] for one in named):
        return None, instances
    values: list[msgspec.Raw] = []
    name = next(iter(named[0] or {}), None)
    for place, one in enumerate(named, 1):
        if one is None or list(one) != [name]:
            came = ", ".join(sorted(one or ()))[:200] or "no names"
            raise InvalidError(f"instance {place} has {came}; expected one named input, the same in each instance")
        values.extend(one.values())
    return name, values


def _column(inputs: msgspec.Raw, max_images: int) -> tuple[str | None, list[msgspec.Raw]]:
    name = None
    if _first(inputs) == b"{":
        found = _parse(_OBJECT, inputs, "an object of inputs")
        if len(found) != 1:
            came = ", ".join(sorted(found))[:200] or "none"
            raise InvalidError(f"inputs are {came}; expected one input")
        ((name, inputs),) = found.items()
    return name, _values(inputs, max_images)


def _values(listed: msgspec.Raw, max_images: int) -> list[msgspec.Raw]:
    """The values of a list. Raises InvalidError for anything else, TooLargeError for more values than images may be."""
    if _first(listed) != b"[":
        raise InvalidError(
            f"the values of the input begin with {_first(listed)!r}; expected a list, one value an image"
        )
    try:
        found = _few(max_images).decode(listed)
    except msgspec.ValidationError:  # it is JSON, and any value will do, so there are too many
        raise TooLargeError(f"the call has more than {max_images} images, which are allowed") from None
    return [one for one in msgspec.structs.astuple(found) if isinstance(one, msgspec.Raw)]


@functools.lru_cache(maxsize=1)
def _few(most: int) -> "msgspec.json.Decoder[msgspec.Struct]":
    """Of a list of so many values at most: of a list without end its decoder would make objects before it counts."""
    fields: list[Any] = [(f"value_{place}", msgspec.Raw | UnsetType, UNSET) for place in range(most)]
    return msgspec.json.Decoder(msgspec.defstruct("_Few", fields, array_like=True, forbid_unknown_fields=True))


def _first(value: msgspec.Raw) -> bytes:
    """Its first character, which tells what it is."""
    return bytes(memoryview(value)[:1])


def _numbers(value: msgspec.Raw, image: ImageShape) -> NDArray[Any]:
    """Of one image, whose JSON is counted before Python makes anything of it."""
    text = bytes(memoryview(value))
    num_rows = 1 + image.height * (1 + image.width)
    if text.count(b",") >= image.height * image.width * image.channels or text.count(b"[") > num_rows:
        raise InvalidError(
            f"an image has more numbers or lists than [{image.height}, {image.width}, {image.channels}], as expected"
        )
    try:
        numbers = np.asarray(msgspec.json.decode(text))
    except (*ParseErrors, ValueError, OverflowError):
        numbers = np.asarray(None)
    if numbers.dtype.kind not in "iuf":
        raise InvalidError("the values are lists of unlike lengths or of other things than numbers; expected pixels")
    expected = input_dims(tf.DT_UINT8, image)[1:]
    if list(numbers.shape) != expected:
        raise InvalidError(f"pixels have shape {list(numbers.shape)}; expected {expected} for each image")
    return numbers


def _example_image(features: dict[str, Any], context: dict[str, Any], place: int) -> bytes:
    for owner in (features, context):
        for name in FEATURE_NAMES:
            if name in owner:
                value = owner[name]
                if isinstance(value, list) and len(value) == 1:
                    (value,) = value
                return binary(value, f"example {place}: feature {name}")
    came = ", ".join(sorted(features))[:200] or "none"
    raise InvalidError(f"example {place} has the features {came}; expected {FEATURE}, one encoded image")


def outputs_json(outputs: dict[str, Sequence[Any]], *, is_row: bool) -> bytes:
    """One output stands for itself, several have their names."""
    if not is_row:
        return _ENCODER.encode({"outputs": outputs if len(outputs) > 1 else next(iter(outputs.values()))})
    if len(outputs) == 1:
        return _ENCODER.encode({"predictions": next(iter(outputs.values()))})
    rows = zip(*outputs.values(), strict=True)
    return _ENCODER.encode({"predictions": [dict(zip(outputs, row, strict=True)) for row in rows]})
