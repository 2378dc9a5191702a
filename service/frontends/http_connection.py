"""One HTTP connection: uvicorn's, with limits of time and size for what comes before an app is called, and an end.

Bodies are limited where they are read (http_body).
"""

import array
import asyncio
import contextlib
import fcntl
import socket
import ssl
import termios
from dataclasses import dataclass
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from cnnsvc.errors import Kind
from service.frontends.problem import problem_response
from service.frontends.status import HttpStatus, http_status
from service.logs import bind_request_id

HEAD_LIMIT_BYTES: Final = 64 * 1024
"""Request line and headers of one request; a common limit of proxies is 8 to 32 KiB."""

_DISCARD_SECONDS: Final = 3.0
_TLS_END_SECONDS: Final = 1.0
_BAD_REQUEST: Final = HttpStatus(400, "Bad Request")
_REQUEST_TIMEOUT: Final = HttpStatus(408, "Request Timeout")
_HEAD_TOO_LARGE: Final = HttpStatus(431, "Request Header Fields Too Large")


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    head_timeout_ms: int
    """From the connection, or from the first byte of a later request, to the end of the request's head."""
    keep_alive_ms: int
    """From an answer to the first byte of the next request."""
    max_connections: int = 4096


class Connections(ServerState):
    """What the connections of a server share."""

    def __init__(self, limits: ConnectionLimits) -> None:
        super().__init__()
        self.limits = limits
        self.is_stopping = False


class HttpConnection(HttpToolsProtocol):
    server_state: Connections

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: Connections,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.timeout_keep_alive = server_state.limits.keep_alive_ms / 1000  # type: ignore[assignment]  # whole seconds
        self._handshake: asyncio.Task[None] | None = None
        self._is_one_too_many = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._is_in_head = False
        self._is_refused = False
        self._num_head_bytes = 0

    def begin_handshake(self, sock: socket.socket, tls: ssl.SSLContext) -> None:
        """For one that was just accepted and is to be encrypted; it counts from now on, and is made afterwards."""
        self._take_place()
        self._handshake = self.loop.create_task(self._encrypt(sock, tls))
        self._handshake.add_done_callback(self._on_handshake_end)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        if self._handshake is None:
            self._take_place()
        self._handshake = None
        super().connection_made(transport)
        self._start_head_timer()
        if self._is_one_too_many:
            limit = self.server_state.limits.max_connections
            detail = f"{limit} connections are open already, as many as are allowed; try again later"
            self._refuse(http_status(Kind.OVERLOADED), Kind.OVERLOADED, detail)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        super()._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        if self._is_in_head:
            self._num_head_bytes += len(data)
        super().data_received(data)
        if not self._is_in_head or self._is_refused:
            return
        if self._num_head_bytes > HEAD_LIMIT_BYTES:
            self._refuse_head_size()
        elif self._head_timer is None:
            self._start_head_timer()

    def on_message_begin(self) -> None:
        super()._unset_keepalive_if_required()
        self._is_in_head = True
        self._num_head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._stop_head_timer()
        # Counted without what separates them, so never more than what came.
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > HEAD_LIMIT_BYTES:
            self._num_head_bytes = HEAD_LIMIT_BYTES + 1
            raise ValueError("the head is too large")  # makes the parser stop, and call send_400_response
        is_last = self.server_state.is_stopping
        if is_last:
            # For whoever reads it as for a client that asked for it: a refused body is let pass by before the answer.
            self.headers.append((b"connection", b"close"))
            self._keep_alive_until_next()
        super().on_headers_complete()
        if is_last:
            self.cycle.keep_alive = False

    def on_response_complete(self) -> None:
        super()._unset_keepalive_if_required()
        super().on_response_complete()

    def begin_stop(self) -> None:
        """The answer under way is the last one, and says so."""
        if self._is_answering():
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Closes unless something has come: that is answered, and the connection closed then."""
        self.begin_stop()
        if self._handshake is not None:
            self._handshake.cancel()
        elif not (self._is_answering() or self._is_in_head or self._num_unread_bytes()):
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Where uvicorn has plain text for what is no HTTP."""
        if self._num_head_bytes > HEAD_LIMIT_BYTES:
            self._refuse_head_size()
        else:
            self._refuse(_BAD_REQUEST, Kind.INVALID, "what came is not an HTTP/1.1 request")

    def _unset_keepalive_if_required(self) -> None:
        """uvicorn forgets how long a connection is idle with every byte that comes; here only a request does that."""

    def _take_place(self) -> None:
        self.connections.add(self)
        self._is_one_too_many = len(self.connections) > self.server_state.limits.max_connections

    async def _encrypt(self, sock: socket.socket, tls: ssl.SSLContext) -> None:
        seconds = self.server_state.limits.head_timeout_ms / 1000
        if self._is_one_too_many:
            seconds = min(seconds, _DISCARD_SECONDS)
        with contextlib.suppress(OSError):  # a handshake that fails is its client's matter
            await self.loop.connect_accepted_socket(
                lambda: self, sock, ssl=tls, ssl_handshake_timeout=seconds, ssl_shutdown_timeout=_TLS_END_SECONDS
            )

    def _on_handshake_end(self, _: asyncio.Task[None]) -> None:
        if self._handshake is not None:  # it was never made
            self._handshake = None
            self.connections.discard(self)

    def _start_head_timer(self) -> None:
        seconds = self.server_state.limits.head_timeout_ms / 1000
        self._head_timer = self.loop.call_later(seconds, self._on_head_timeout)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _on_head_timeout(self) -> None:
        self._head_timer = None
        if self._is_in_head:
            limit_ms = self.server_state.limits.head_timeout_ms
            detail = f"the request's head was not complete within {limit_ms} ms"
            self._refuse(_REQUEST_TIMEOUT, Kind.LATE, detail)
        else:
            self.transport.close()

    def _refuse_head_size(self) -> None:
        detail = f"the request's line and headers have more than {HEAD_LIMIT_BYTES} bytes"
        self._refuse(_HEAD_TOO_LARGE, Kind.TOO_LARGE, detail)

    def _refuse(self, found: HttpStatus, kind: Kind, detail: str) -> None:
        """Answers, and closes when the client has; an earlier request's answer is let end first, and alone."""
        self._is_in_head = False
        self._stop_head_timer()
        if self._is_answering():
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        self.transport.write(problem_response(found, kind, detail, bind_request_id()))
        # Closing under a client that still writes would lose the answer.
        self._is_refused = True
        if self.transport.can_write_eof():  # encrypted ones cannot
            self.transport.write_eof()
        self._head_timer = self.loop.call_later(_DISCARD_SECONDS, self.transport.close)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _keep_alive_until_next(self) -> None:
        """A request that came behind another one, unasked, is answered too."""
        if self._is_answering() and not self.cycle.response_started:
            self.cycle.keep_alive = True

    def _num_unread_bytes(self) -> int:
        """Of what the kernel has."""
        number = array.array("i", [0])
        fcntl.ioctl(self.transport.get_extra_info("socket").fileno(), termios.FIONREAD, number)
        return number[0]
