"""The HTTP door: uvicorn on a socket that is bound before anything is loaded."""

import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from service.ports import bind

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


def bind_http(host: str, port: int, *, is_shared: bool) -> socket.socket:
    """A listening socket. Unless shared, a second process on the port is an error. Raises SettingError."""
    return bind("HTTP", host, port, is_shared=is_shared, listens_with=_BACKLOG)


@contextlib.contextmanager
def _no_signals() -> Iterator[None]:
    yield
