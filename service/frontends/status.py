"""The two tables that translate the kinds of cnnsvc.errors: to gRPC status codes and to HTTP statuses."""

from dataclasses import dataclass
from typing import Final

import grpc

from cnnsvc.errors import Kind


@dataclass(frozen=True, slots=True)
class HttpStatus:
    status: int
    title: str
    """The status' own phrase: problem documents without a type of their own must show it (RFC 9457, 4.2.1)."""
    retry_after_s: int | None = None
    """Where trying again may help: least seconds for the Retry-After header."""


GRPC_STATUS: Final[dict[Kind, grpc.StatusCode]] = {
    Kind.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    # Not UNIMPLEMENTED, which says that the method itself is absent.
    Kind.UNSUPPORTED: grpc.StatusCode.INVALID_ARGUMENT,
    # Not RESOURCE_EXHAUSTED: clients retry that one, and the same message stays too large.
    Kind.TOO_LARGE: grpc.StatusCode.INVALID_ARGUMENT,
    Kind.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Kind.NOT_READY: grpc.StatusCode.UNAVAILABLE,
    Kind.OVERLOADED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Kind.LATE: grpc.StatusCode.DEADLINE_EXCEEDED,
    Kind.CANCELLED: grpc.StatusCode.CANCELLED,
    Kind.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    Kind.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    Kind.CONFLICT: grpc.StatusCode.ABORTED,
    Kind.UNIMPLEMENTED: grpc.StatusCode.UNIMPLEMENTED,
    Kind.INTERNAL: grpc.StatusCode.INTERNAL,
}

HTTP_STATUS: Final[dict[Kind, HttpStatus]] = {
    Kind.INVALID: HttpStatus(400, "Bad Request"),
    Kind.UNSUPPORTED: HttpStatus(415, "Unsupported Media Type"),
    Kind.TOO_LARGE: HttpStatus(413, "Content Too Large"),
    Kind.NOT_FOUND: HttpStatus(404, "Not Found"),
    Kind.NOT_READY: HttpStatus(503, "Service Unavailable", retry_after_s=1),
    Kind.OVERLOADED: HttpStatus(429, "Too Many Requests", retry_after_s=1),
    Kind.LATE: HttpStatus(504, "Gateway Timeout"),
    # Registered nowhere, but what proxies log for a client that went away; nobody is left to read it.
    Kind.CANCELLED: HttpStatus(499, "Client Closed Request"),
    Kind.UNAUTHENTICATED: HttpStatus(401, "Unauthorized"),
    Kind.FORBIDDEN: HttpStatus(403, "Forbidden"),
    Kind.CONFLICT: HttpStatus(409, "Conflict"),
    Kind.UNIMPLEMENTED: HttpStatus(501, "Not Implemented"),
    Kind.INTERNAL: HttpStatus(500, "Internal Server Error"),
}


def grpc_status(kind: Kind) -> grpc.StatusCode:
    return GRPC_STATUS[kind]


def http_status(kind: Kind) -> HttpStatus:
    return HTTP_STATUS[kind]
