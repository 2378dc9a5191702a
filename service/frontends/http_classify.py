"""POST /api/v1/classify as a plain ASGI app: the hot path of the HTTP front-end, without a web framework's objects."""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec
from starlette.types import Receive, Scope, Send

from cnnsvc.errors import Kind, OverloadedError, TooLargeError
from service.call_record import CallRecord
from service.frontends.http_body import (
    BodyForm,
    ClientGoneError,
    Headers,
    announced_bytes,
    body_form,
    discard_body,
    read_body,
    read_images,
)
from service.frontends.http_messages import classify_response
from service.frontends.http_parameters import (
    CLASSIFY_PARAMETERS,
    TIMEOUT_HEADER,
    build_query,
    read_query_string,
    read_timeout_ms,
)
from service.metrics import Metrics
from service.predictor import Answer, Predictor

T = TypeVar("T")

_TIMEOUT_HEADER: Final = TIMEOUT_HEADER.lower().encode("ascii")
_ENCODER: Final = msgspec.json.Encoder()
_UNWATCHED_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True)
class CallLimits:
    body_limit_bytes: int
    max_images_per_call: int
    request_timeout_ms: int


class ClassifyEndpoint:
    def __init__(self, predictor: Predictor, metrics: Metrics, limits: CallLimits) -> None:
        self._predictor = predictor
        self._metrics = metrics
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._metrics.request("http", "classify", scope) as observed:
            try:
                answer = await self._answer(scope, receive, observed.record)
            except ClientGoneError:
                observed.code = Kind.CANCELLED
                return
            observed.model, observed.version = answer.model, answer.version
            body = _ENCODER.encode(classify_response(answer))
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive, record: CallRecord | None) -> Answer:
        """All that the headers can get refused is refused before the body is read."""
        arrived = time.monotonic()
        limits = self._limits
        headers = dict(scope["headers"])
        timeout_ms = read_timeout_ms(headers.get(_TIMEOUT_HEADER), limits.request_timeout_ms)
        parameters = read_query_string(scope["query_string"], CLASSIFY_PARAMETERS)
        form = body_form(headers)
        deadline = arrived + timeout_ms / 1000
        try:
            self._require_room(form, parameters, announced_bytes(headers, limits.body_limit_bytes), deadline)
            body = await read_body(receive, self._predictor.admission, limits.body_limit_bytes, timeout_ms)
        except (TooLargeError, OverloadedError):
            await _discard_before_close(receive, headers)
            raise
        images = read_images(form, headers, body, parameters, limits.max_images_per_call)
        del body  # a form's images are copies, and would be held beside it
        query = build_query(images, parameters, deadline, record)
        return await _unless_gone(receive, self._predictor.classify(query))

    def _require_room(self, form: BodyForm, parameters: dict[str, str], num_bytes: int, deadline: float) -> None:
        """Raises OverloadedError. Only of a raw body the model is known before it is read."""
        if form is BodyForm.RAW:
            self._predictor.require_room(build_query([], parameters, deadline), num_bytes)
        else:
            self._predictor.admission.require_room(1, num_bytes)


async def _discard_before_close(receive: Receive, headers: Headers) -> None:
    """Where the server closes the connection with its answer, a client that still writes would lose the answer."""
    if headers.get(b"connection", b"").lower() == b"close":
        await discard_body(receive)


async def _unless_gone(receive: Receive, work: Awaitable[T]) -> T:
    """The result of the work, which is cancelled when the client closes its connection. Raises ClientGoneError.

    Work that is done at once is not watched: a task for watching is a quarter of what such a call costs here.
    """
    watch = _Watch(receive)
    try:
        return await work
    except asyncio.CancelledError:
        if watch.is_gone and watch.caller.uncancel() == 0:
            raise ClientGoneError from None
        raise
    finally:
        watch.end()


class _Watch:
    """Cancels the task that makes it when the client closes its connection, from some milliseconds on."""

    def __init__(self, receive: Receive) -> None:
        caller = asyncio.current_task()
        assert caller is not None
        self.caller = caller
        self.is_gone = False
        self._receive = receive
        self._task: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(_UNWATCHED_SECONDS, self._begin)

    def end(self) -> None:
        self._timer.cancel()
        if self._task:
            self._task.cancel()

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.is_gone = True
        self.caller.cancel()
