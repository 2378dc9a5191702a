"""The outermost room of the HTTP front-end: each response gets a request id and the headers that
keep browsers from misreading it, each error becomes a problem document."""

import asyncio
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cnnsvc.errors import NotReadyError
from service.frontends.problem import send_error
from service.logs import REQUEST_ID_HEADER, bind_request_id

_HEADER: Final = REQUEST_ID_HEADER.encode("ascii")
_ALWAYS: Final = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
_ENCRYPTED: Final = [*_ALWAYS, (b"strict-transport-security", b"max-age=31536000")]
# Answers are for the caller and nobody's cache, and nothing in them is for a browser to run or to frame.
_UNLESS_GIVEN: Final = [
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]


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
        request_id = bind_request_id(_given_id(scope))
        own = [(_HEADER, request_id.encode("ascii")), *(_ENCRYPTED if scope.get("scheme") == "https" else _ALWAYS)]
        is_started = False

        async def send_with_id(message: Message) -> None:
            nonlocal is_started
            if message["type"] == "http.response.start":
                is_started = True
                headers = [*message.get("headers", ()), *own]
                given = {name for name, _ in headers}
                message["headers"] = headers + [each for each in _UNLESS_GIVEN if each[0] not in given]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except asyncio.CancelledError:  # by the server alone, at the end of its grace
            if is_started:
                raise
            error = NotReadyError("the server is stopping, and the call did not end within its time of grace")
            await send_error(send_with_id, error, scope["path"], request_id)
        except Exception as error:
            if is_started:  # too late for another answer: the server logs it and closes the connection
                raise
            await send_error(send_with_id, error, scope["path"], request_id)


def _given_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == _HEADER:
            return str(value, "latin-1")
    return None
