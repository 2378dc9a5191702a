"""Errors as RFC 9457 problem documents, and on the paths of foreign protocols as their clients read them."""

import logging
import math
from collections.abc import Mapping
from typing import Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.types import Send

from cnnsvc.errors import CnnsvcError, Kind, OverloadedError
from service.frontends.status import HttpStatus, http_status
from service.logs import REQUEST_ID_HEADER

PROBLEM_TYPE: Final = b"application/problem+json"
_FOREIGN: Final = ("/v1/", "/v2/")
"""Of TensorFlow Serving and of the Open Inference protocol, whose errors look the same."""

_log = logging.getLogger("cnnsvc.http")


class Problem(msgspec.Struct, frozen=True):
    """An error, as RFC 9457 describes it."""

    type: str
    title: str
    status: int
    detail: str
    """What came and what is allowed."""
    kind: str
    """What went wrong in one word, the same over HTTP, gRPC and in the metrics."""
    request_id: str


def describe(error: Exception, path: str, request_id: str) -> tuple[Problem, list[tuple[bytes, bytes]]]:
    """The problem document of an error with the headers that belong to it.

    What is our fault comes as fixed text: its own words, which may name files of this machine, go to the log.
    """
    if isinstance(error, HTTPException):
        return _describe_routing(error, path, request_id)
    kind = error.kind if isinstance(error, CnnsvcError) else Kind.INTERNAL
    detail = str(error)
    if kind is Kind.INTERNAL:
        _log.error("the call to %r failed", path[:200], exc_info=error)
        detail = f"internal error; the server's log has it as request {request_id}"
    found = http_status(kind)
    headers = _retry_after(error, found)
    if kind is Kind.UNAUTHENTICATED:
        headers.append((b"www-authenticate", b"Bearer"))
    return _problem(found, kind, detail, request_id), headers


class ForeignError(msgspec.Struct, frozen=True):
    error: str


async def send_error(send: Send, error: Exception, path: str, request_id: str) -> None:
    problem, headers = describe(error, path, request_id)
    if f"{path}/".lower().startswith(_FOREIGN):
        body, content_type = msgspec.json.encode(ForeignError(problem.detail)), b"application/json"
    else:
        body, content_type = msgspec.json.encode(problem), PROBLEM_TYPE
    own = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": problem.status, "headers": own + headers})
    await send({"type": "http.response.body", "body": body})


def _retry_after(error: Exception, found: HttpStatus) -> list[tuple[bytes, bytes]]:
    """Whole seconds (RFC 9110, 10.2.3), rounded up."""
    if found.retry_after_s is None:
        return []
    seconds: float = error.retry_after_seconds if isinstance(error, OverloadedError) else 0
    return [(b"retry-after", b"%d" % max(found.retry_after_s, math.ceil(seconds)))]


def problem_response(found: HttpStatus, kind: Kind, detail: str, request_id: str) -> bytes:
    """A whole response, after which the connection closes: for what comes before there is a request to answer."""
    body = msgspec.json.encode(_problem(found, kind, detail, request_id))
    head = (
        f"HTTP/1.1 {found.status} {found.title}\r\ncontent-type: {PROBLEM_TYPE.decode()}\r\n"
        f"content-length: {len(body)}\r\n{REQUEST_ID_HEADER}: {request_id}\r\nconnection: close\r\n\r\n"
    )
    return head.encode("ascii") + body


def _describe_routing(error: HTTPException, path: str, request_id: str) -> tuple[Problem, list[tuple[bytes, bytes]]]:
    """404 and 405, the only errors that Starlette's router raises."""
    if error.status_code == 405:
        allow = ", ".join(sorted(name.strip() for name in _header(error.headers, "Allow").split(",")))
        detail = f"{path[:200]} does not take this method; allowed are {allow}"
        problem = _problem(HttpStatus(405, "Method Not Allowed"), Kind.UNSUPPORTED, detail, request_id)
        return problem, [(b"allow", allow.encode("ascii"))]
    detail = f"there is nothing at {path[:200]}; the API is under /api/v1/ and described at /docs"
    return _problem(http_status(Kind.NOT_FOUND), Kind.NOT_FOUND, detail, request_id), []


def _problem(found: HttpStatus, kind: Kind, detail: str, request_id: str) -> Problem:
    return Problem("about:blank", found.title, found.status, detail, kind.value, request_id)


def _header(headers: Mapping[str, str] | None, name: str) -> str:
    return headers.get(name, "") if headers else ""
