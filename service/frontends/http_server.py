"""The HTTP door: uvicorn on a socket that is bound before anything is loaded, and an end that loses no request."""

import asyncio
import contextlib
import logging
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from service.frontends.http_connection import ConnectionLimits, Connections, HttpConnection
from service.listeners import take_in
from service.ports import bind

_BACKLOG = 2048
"""Connections that wait to be accepted."""
LINGER_SECONDS: Final = 0.5
"""How long a door goes on answering once it takes no new connection, so that those in use end by an answer."""
_POLL_SECONDS: Final = 0.02
_FLUSH_SECONDS: Final = 1.0
_ACCEPT_AGAIN_SECONDS: Final = 0.1
_UNREAD_MS: Final = 30_000
"""How long a client may leave what is sent to it unread; then the kernel ends the connection."""

_log = logging.getLogger("cnnsvc.http")


class HttpServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, limits: ConnectionLimits, tls: ssl.SSLContext | None = None) -> None:
        """`tls` is what it encrypts with; None speaks plainly."""
        super().__init__(config)
        self.server_state: Connections = Connections(limits)
        self._tls = tls
        self._accepting: list[asyncio.Task[None]] = []
        self._deadline = 0.0
        self.servers: list[asyncio.Server] = []

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """They are left to the process, which has another door to close too."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """In place of uvicorn's, which knows of no encrypted connection before its handshake is done."""
        loop = asyncio.get_running_loop()
        for sock in sockets or []:
            if self._tls:
                sock.setblocking(False)
                self._accepting.append(loop.create_task(self._accept(sock, self._tls)))
            else:
                self.servers.append(await loop.create_server(self._connection, sock=sock, backlog=_BACKLOG))
        self.started = True

    def _connection(self) -> HttpConnection:
        return HttpConnection(self.config, self.server_state, app_state={})

    async def _accept(self, listener: socket.socket, tls: ssl.SSLContext) -> None:
        """Never ends."""
        listener.listen(_BACKLOG)
        loop = asyncio.get_running_loop()
        is_failing = False
        while True:
            try:
                sock, _ = await loop.sock_accept(listener)
            except OSError as error:  # such as no descriptor that is left
                if not is_failing:
                    _log.warning("connections cannot be accepted: %s", error.strerror)
                is_failing = True
                await asyncio.sleep(_ACCEPT_AGAIN_SECONDS)
            else:
                is_failing = False
                self._connection().begin_handshake(sock, tls)

    def begin_stop(self) -> None:
        """From now on each answer is the last one of its connection, and says so."""
        self.server_state.is_stopping = True
        for connection in self._open_connections():
            connection.begin_stop()

    def close(self, deadline: float) -> None:
        """Lets `serve` end: what was accepted is answered, until the deadline on the monotonic clock."""
        self._deadline = deadline
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """In place of uvicorn's, which closes connections whose next request is on its way."""
        listeners = sockets or []
        self.begin_stop()
        await take_in(listeners, self._remaining_seconds())
        for server in self.servers:
            server.close()
        for accepting in self._accepting:
            accepting.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        for listener in listeners:
            listener.close()
        await self._until_closed(min(LINGER_SECONDS, self._remaining_seconds()))
        for connection in self._open_connections():
            connection.shutdown()
        await self._until_closed(self._remaining_seconds())
        for task in self.server_state.tasks:
            task.cancel()  # service.frontends.http_boundary answers that
        await self._until_closed(_FLUSH_SECONDS if self.server_state.tasks else 0.0)

    def _open_connections(self) -> list[HttpConnection]:
        return [each for each in self.server_state.connections if isinstance(each, HttpConnection)]

    async def _until_closed(self, most_seconds: float) -> None:
        give_up = time.monotonic() + most_seconds
        while self._is_busy() and time.monotonic() < give_up:  # noqa: ASYNC110  # uvicorn tells nobody
            await asyncio.sleep(_POLL_SECONDS)

    def _is_busy(self) -> bool:
        return bool(self.server_state.connections or self.server_state.tasks)

    def _remaining_seconds(self) -> float:
        return max(0.0, self._deadline - time.monotonic())


def build_http_server(app: ASGIApp, limits: ConnectionLimits, tls: ssl.SSLContext | None = None) -> HttpServer:
    """A server for `serve(sockets=…)`."""
    config = uvicorn.Config(
        app,
        loop="none",
        lifespan="off",
        http=HttpConnection,
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
    )
    return HttpServer(config, limits, tls)


def bind_http(host: str, port: int, *, is_shared: bool, door: str = "HTTP") -> socket.socket:
    """A listening socket. Unless shared, a second process on the port is an error. Raises SettingError."""
    listener = bind(door, host, port, is_shared=is_shared, listens_with=_BACKLOG)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MS)  # its connections inherit it
    return listener
