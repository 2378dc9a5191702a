"""The outermost room of the HTTP front-end: each response gets a request id, each error becomes a problem document."""

import os
import re
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.frontends.problem import describe, send_problem

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")


class Boundary:
    """Wraps an ASGI app."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Starlette's router raises its 404 and 405 instead of answering plain text only where an app is named.
        scope["app"] = self
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        is_started = False

        async def send_with_id(message: Message) -> None:
            nonlocal is_started
            if message["type"] == "http.response.start":
                is_started = True
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id)]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:
            if is_started:  # too late for another answer: the server logs it and closes the connection
                raise
            await send_problem(send_with_id, *describe(error, scope["path"], request_id.decode("ascii")))


def _request_id(scope: Scope) -> bytes:
    """The caller's X-Request-Id where it is safe to repeat in headers and logs, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return bytes(value)
    return os.urandom(16).hex().encode("ascii")
