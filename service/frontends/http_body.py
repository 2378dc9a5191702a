"""Bodies of classification requests, read within limits: raw image bytes, multipart forms, JSON with base64."""

import asyncio
import contextlib
from collections.abc import Mapping
from enum import Enum
from typing import Final

import msgspec
from starlette.types import Receive

from cnnsvc.errors import InvalidError, LateError, TooLargeError, UnsupportedError
from service.admission import Admission
from service.frontends.http_messages import ClassifyRequest
from service.frontends.http_multipart import read_multipart
from service.frontends.http_parameters import CLASSIFY_PARAMETERS, add_parameter, shown

Headers = Mapping[bytes, bytes]

# What curl and the object stores send when nobody chose a type.
_RAW_TYPES: Final = ("", "application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded")
_DISCARD_SECONDS: Final = 3.0
_JSON: Final = msgspec.json.Decoder(ClassifyRequest)


class BodyForm(Enum):
    RAW = "raw image bytes"
    MULTIPART = "multipart/form-data"
    JSON = "application/json"


class ClientGoneError(Exception):
    """The client closed its connection: nobody is left to answer."""


def body_form(headers: Headers) -> BodyForm:
    """What the headers announce. Raises UnsupportedError for a content type or coding that is not offered."""
    coding = headers.get(b"content-encoding", b"identity").decode("latin-1").strip().lower()
    if coding != "identity":
        raise UnsupportedError(f"content encoding {shown(coding)} is not offered; allowed is identity (no encoding)")
    content_type = headers.get(b"content-type", b"").decode("latin-1")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type.startswith("image/") or media_type in _RAW_TYPES:
        return BodyForm.RAW
    for form in (BodyForm.MULTIPART, BodyForm.JSON):
        if media_type == form.value:
            return form
    raise UnsupportedError(
        f"content type {shown(content_type)} is not offered; allowed are image/* or application/octet-stream (or none)"
        " with the bytes of one image, multipart/form-data and application/json"
    )


def announced_bytes(headers: Headers, limit_bytes: int) -> int:
    """The length that the headers announce, 0 where they do not. Raises TooLargeError."""
    num_bytes = int(headers.get(b"content-length", b"0"))
    if num_bytes > limit_bytes:
        raise TooLargeError(f"the body has {num_bytes} bytes; allowed are {limit_bytes}")
    return num_bytes


async def read_body(receive: Receive, admission: Admission, limit_bytes: int, timeout_ms: int) -> bytes:
    """The whole body. Raises TooLargeError, OverloadedError, LateError, ClientGoneError.

    What has come of it counts as held, until it is returned: then it is for the caller to admit what it is made of.
    What is left unread after a refusal is dropped by the server as it comes, so that the answer reaches a client that
    writes all of its body before it reads.
    """
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            return await _read_chunks(receive, admission, limit_bytes)
    except TimeoutError:
        raise LateError(f"the body was not complete within {timeout_ms} ms") from None


async def discard_body(receive: Receive) -> None:
    """Lets a refused body pass by, for as long as a client in good faith may need and no longer."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DISCARD_SECONDS):
            while (await receive()).get("more_body", False):
                pass


async def _read_chunks(receive: Receive, admission: Admission, limit_bytes: int) -> bytes:
    chunks: list[bytes] = []
    num_bytes = 0
    try:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            chunk: bytes = message.get("body", b"")
            if num_bytes + len(chunk) > limit_bytes:
                raise TooLargeError(f"the body has at least {num_bytes + len(chunk)} bytes; allowed are {limit_bytes}")
            admission.require_room(0, len(chunk))
            admission.add(0, len(chunk))
            num_bytes += len(chunk)
            if not message.get("more_body", False):
                return b"".join((*chunks, chunk)) if chunks else chunk
            chunks.append(chunk)
    finally:
        admission.release(0, num_bytes)


def read_images(
    form: BodyForm, headers: Headers, body: bytes, parameters: dict[str, str], max_images: int
) -> list[bytes]:
    """The encoded images of a body; parameters that it carries are added to `parameters`.

    Raises InvalidError for a body that is empty or malformed or repeats a parameter, TooLargeError above `max_images`.
    """
    if not body:
        raise InvalidError("the body is empty; expected an image, a multipart form or a JSON object")
    if form is BodyForm.RAW:
        return [body]
    if form is BodyForm.MULTIPART:
        return read_multipart(headers[b"content-type"], body, parameters, max_images)
    return _read_json(body, parameters, max_images)


def _read_json(body: bytes, parameters: dict[str, str], max_images: int) -> list[bytes]:
    try:
        request = _JSON.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidError(f"the JSON body is not a classification request: {error}") from None
    if (request.image is msgspec.UNSET) == (request.images is msgspec.UNSET):
        raise InvalidError("the JSON body must have either image or images, and not both")
    images = [request.image] if isinstance(request.image, bytes) else request.images
    assert isinstance(images, list)
    if len(images) > max_images:
        raise TooLargeError(f"the call has {len(images)} images; allowed are {max_images}")
    for name in CLASSIFY_PARAMETERS:
        if (value := getattr(request, name)) is not msgspec.UNSET:
            add_parameter(parameters, name, str(value))
    return images
