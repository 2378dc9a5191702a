"""One keep-alive HTTP connection: a request at a time, its response parsed by httptools as the pieces come."""

import asyncio
from typing import NamedTuple, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser


class Response(NamedTuple):
    status: int
    body: bytes


class UnansweredError(Exception):
    """The connection ended before the first byte of the response."""


class BrokenAnswerError(Exception):
    """What came is not one whole HTTP response."""


class Connection(asyncio.Protocol):
    """Not to be used again once `is_open` is false."""

    def __init__(self) -> None:
        self.is_open = False
        self._transport: asyncio.Transport | None = None
        self._parser = HttpResponseParser(self)
        self._waiter: asyncio.Future[Response] | None = None
        self._body = b""
        self._has_begun = False
        self._is_foreign = False

    async def exchange(self, request: bytes) -> Response:
        """Raises UnansweredError, or BrokenAnswerError where an answer broke off or was none."""
        if self._is_foreign:
            raise BrokenAnswerError("it speaks before it is asked")
        if self._transport is None or not self.is_open:
            raise UnansweredError
        self._waiter = asyncio.get_running_loop().create_future()
        self._has_begun = False
        self._transport.write(request)
        return await self._waiter

    def abort(self) -> None:
        """Closes it at once; what still comes is dropped."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        if not self.is_open:
            return
        if self._waiter is None:  # a server's parting words on an idle connection, such as 408
            self._is_foreign = not self._has_begun  # none had been exchanged: so gRPC begins
            self.abort()
            return
        self._has_begun = True
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self.abort()
            self._fail(BrokenAnswerError(str(error)))

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        self._fail(BrokenAnswerError("it broke off") if self._has_begun else UnansweredError())

    def on_body(self, body: bytes) -> None:
        """httptools: a piece of the body."""
        self._body = self._body + body if self._body else body

    def on_message_complete(self) -> None:
        """httptools: the whole response is there."""
        body, self._body = self._body, b""
        status = self._parser.get_status_code()
        if status < 200:  # 1xx comes before the response
            return
        if not self._parser.should_keep_alive():
            self.abort()
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(Response(status, body))

    def _fail(self, error: Exception) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)
