"""The HTTP door: uvicorn on a socket that is bound before anything is loaded."""

import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from cnnsvc.errors import SettingError

_BACKLOG = 2048
"""Connections that wait to be accepted."""


def build_http_server(app: ASGIApp, *, shutdown_grace_ms: int) -> uvicorn.Server:
    """A server for `serve(sockets=…)`; signals are left to the process, which has another door to close too."""
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            loop="none",
            lifespan="off",
            http="httptools",
            ws="none",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=max(1, shutdown_grace_ms // 1000),
        )
    )
    server.capture_signals = _no_signals  # type: ignore[method-assign]  # uvicorn offers no setting for it
    return server


def bind_http(host: str, port: int) -> socket.socket:
    """A listening socket. Without SO_REUSEPORT: a second process on the port is an error, not a share.

    Raises SettingError where it cannot listen there.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SettingError(f"HTTP cannot listen on {host}:{port}: {error.strerror}") from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise SettingError(f"HTTP cannot listen on {host}:{port}: {error.strerror}") from None
    return sock


@contextlib.contextmanager
def _no_signals() -> Iterator[None]:
    yield
