"""Calls over HTTP: one keep-alive connection, the requests made beforehand, so that the load costs the server little.

A load shares the machine with the server as a rule; what the generator takes, the server lacks.
"""

import asyncio
import ssl
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

import msgspec

from cnnsvc.errors import Kind
from cnnsvc.load.call import NO_ANSWER, Answer, Failure, Outcome, Query
from cnnsvc.load.http_connection import BrokenAnswerError, Connection, Response, UnansweredError
from cnnsvc.load.target import Target

_ANSWER: Final = msgspec.json.Decoder(Answer)
_SHOWN_CHARACTERS: Final = 200


class _Problem(msgspec.Struct):
    """An error body of cnnsvc."""

    kind: str
    detail: str


_PROBLEM: Final = msgspec.json.Decoder(_Problem)


def http_requests(target: Target, query: Query) -> list[bytes]:
    """The whole request of each image, byte for byte."""
    named = {"model": query.model, "version": query.version or "", "top_k": "" if query.top_k is None else query.top_k}
    parameters = urlencode({name: value for name, value in named.items() if value != ""})
    head = (
        f"POST /api/v1/classify{'?' if parameters else ''}{parameters} HTTP/1.1\r\n"
        f"Host: {target.address}\r\nContent-Type: application/octet-stream\r\n"
        f"X-Request-Timeout-Ms: {query.timeout_ms}\r\n"
        + "".join(f"{name}: {value}\r\n" for name, value in query.identity.headers.items())
        + "Content-Length: "
    )
    return [f"{head}{len(image)}\r\n\r\n".encode("latin-1") + image for image in query.images]


class HttpCaller:
    """Connects with its first call, and again where the server closed the connection."""

    def __init__(
        self, target: Target, requests: Sequence[bytes], timeout_ms: int, tls: ssl.SSLContext | None = None
    ) -> None:
        self._target = target
        self._requests = requests
        self._timeout_ms = timeout_ms
        self._tls = tls
        self._connection: Connection | None = None

    async def ask(self, place: int) -> Outcome:
        address = self._target.address
        try:
            async with asyncio.timeout(self._timeout_ms / 1000):
                return outcome_of(await self._exchange(self._requests[place]))
        except TimeoutError:
            message, kind = f"{address} gave no answer within {self._timeout_ms} ms", Kind.LATE
        except UnansweredError:
            message, kind = f"{address} closed the connection without an answer", Kind.NOT_READY
        except BrokenAnswerError as error:
            message, kind = f"{address} does not answer in HTTP ({error}); is it its gRPC port?", Kind.INTERNAL
        except OSError as error:
            message, kind = f"{address} does not answer: {error.strerror or error}", Kind.NOT_READY
        await self.close()
        return Failure(NO_ANSWER, kind, message)

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.abort()
            self._connection = None

    async def _exchange(self, request: bytes) -> Response:
        """On the open connection, else on a new one.

        A server may close a connection that was idle at the moment it is used; to classify twice does no harm.
        """
        if self._connection is not None and self._connection.is_open:
            try:
                return await self._connection.exchange(request)
            except UnansweredError:
                pass
        self._connection = await self._connect()
        return await self._connection.exchange(request)

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, self._target.host, self._target.port, ssl=self._tls)
        return connection


def outcome_of(response: Response) -> Outcome:
    if response.status != HTTPStatus.OK:
        return _failure(response)
    try:
        return _ANSWER.decode(response.body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Failure(str(response.status), "", f"the answer is not that of cnnsvc: {_shown(response.body)}")


def _failure(response: Response) -> Failure:
    try:
        problem = _PROBLEM.decode(response.body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Failure(str(response.status), "", _shown(response.body) or "no words")
    return Failure(str(response.status), problem.kind, problem.detail)


def _shown(body: bytes) -> str:
    return body.decode("utf-8", "replace")[:_SHOWN_CHARACTERS]
