"""One HTTP call with a body as a plain ASGI app: the hot path of every dialect, without a web framework's objects."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from starlette.types import Receive, Scope, Send

from cnnsvc.errors import Kind, OverloadedError, TooLargeError
from cnnsvc.occlusion import MOST_BUDGET
from service.admission import Admission
from service.frontends.http_body import ClientGoneError, Headers, announced_bytes, discard_body, read_body
from service.frontends.http_parameters import TIMEOUT_HEADER, read_timeout_ms
from service.metrics import Metrics, ObservedRequest

T = TypeVar("T")

_TIMEOUT_HEADER: Final = TIMEOUT_HEADER.lower().encode("ascii")
_UNWATCHED_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True)
class CallLimits:
    body_limit_bytes: int
    max_images_per_call: int
    request_timeout_ms: int
    explain_budget_limit: int = MOST_BUDGET


class HttpCall:
    """A request that is measured already; its deadline counts from its arrival."""

    def __init__(
        self, scope: Scope, receive: Receive, observed: ObservedRequest, admission: Admission, limits: CallLimits
    ) -> None:
        """Raises InvalidError for a time limit that is none."""
        self.scope = scope
        self.headers: Headers = dict(scope["headers"])
        self.observed = observed
        self.limits = limits
        self._receive = receive
        self._admission = admission
        self._timeout_ms = read_timeout_ms(self.headers.get(_TIMEOUT_HEADER), limits.request_timeout_ms)
        self.deadline: float = time.monotonic() + self._timeout_ms / 1000
        """In seconds of the monotonic clock."""

    async def read_body(self, require_room: Callable[[int], None] | None = None) -> bytes:
        """The whole body, of which `require_room` judges the announced length before anything is read.

        Raises TooLargeError, OverloadedError, LateError, ClientGoneError.
        """
        limit_bytes = self.limits.body_limit_bytes
        try:
            num_bytes = announced_bytes(self.headers, limit_bytes)
            if require_room:
                require_room(num_bytes)
            else:
                self._admission.require_room(1, num_bytes)
            return await read_body(self._receive, self._admission, limit_bytes, self._timeout_ms)
        except (TooLargeError, OverloadedError):
            await self._discard_before_close()
            raise

    async def unless_gone(self, work: Awaitable[T]) -> T:
        """The result of the work, which is cancelled when the client closes its connection. Raises ClientGoneError.

        Work that is done at once is not watched: a task for watching is a quarter of what such a call costs here.
        """
        watch = _Watch(self._receive)
        try:
            return await work
        except asyncio.CancelledError:
            if watch.is_gone and watch.caller.uncancel() == 0:
                raise ClientGoneError from None
            raise
        finally:
            watch.end()

    async def _discard_before_close(self) -> None:
        """Where the server closes the connection with its answer, a client that still writes would lose the answer."""
        if self.headers.get(b"connection", b"").lower() == b"close":
            await discard_body(self._receive)


@dataclass(frozen=True, slots=True)
class Reply:
    body: bytes
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Endpoint:
    """An ASGI app that measures its calls and sends what `answer` makes of them."""

    def __init__(
        self,
        method: str,
        answer: Callable[[HttpCall], Awaitable[Reply]],
        metrics: Metrics,
        admission: Admission,
        limits: CallLimits,
    ) -> None:
        """`method` is what the metrics call it."""
        self._method = method
        self._answer = answer
        self._metrics = metrics
        self._admission = admission
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._metrics.request("http", self._method, scope) as observed:
            try:
                reply = await self._answer(HttpCall(scope, receive, observed, self._admission, self._limits))
            except ClientGoneError:
                observed.code = Kind.CANCELLED
                return
        own = [(b"content-type", reply.content_type), (b"content-length", b"%d" % len(reply.body))]
        await send({"type": "http.response.start", "status": 200, "headers": [*own, *reply.headers]})
        await send({"type": "http.response.body", "body": reply.body})


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
