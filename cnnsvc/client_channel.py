"""How the clients speak to a server: limits, retries, keepalive, and a failed call as an error of ours."""

import json
from collections.abc import Iterable
from typing import Any, Final

import grpc

from cnnsvc import errors
from cnnsvc.errors import CnnsvcError, Kind, LateError, NotReadyError, OverloadedError, TooLargeError
from cnnsvc.retry_info import retry_after_seconds

MESSAGE_LIMIT_BYTES: Final = 32 * 1024 * 1024
"""The server's default --body-limit-bytes."""

# Only what a server says that goes away is tried again, and to classify an image twice does no harm: UNAVAILABLE, and
# CANCELLED, with which gRPC drops calls that meet its stop on an encrypted connection. RESOURCE_EXHAUSTED is not, since
# an overloaded server would get more load for it; DEADLINE_EXCEEDED is not, since the deadline is that of all
# attempts together. All else would fail the same way again. Streams have no such policy: with grpcio 1.85 on a busy
# machine 4 of 125 streams of three 3 MB images lost one of them in being replayed.
_RETRIED_METHODS: Final = ("Classify", "GetModel", "ListModels")
_SERVICE_CONFIG: Final = {
    "methodConfig": [
        {
            "name": [{"service": "cnnsvc.v1.Classifier", "method": method} for method in _RETRIED_METHODS],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.2s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
            },
        }
    ]
}

CHANNEL_OPTIONS: Final[list[tuple[str, Any]]] = [
    ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),
    ("grpc.max_send_message_length", MESSAGE_LIMIT_BYTES),
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    # A call larger than this, 256 KiB by default, would not be tried again.
    ("grpc.per_rpc_retry_buffer_size", MESSAGE_LIMIT_BYTES),
    # By default a refused connection is tried again after a second at the earliest, later than the retries of a call.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # A server that vanished without a word is noticed within 40 s, but only calls that wait for it ask.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 0),
]

_ERRORS: Final[dict[str, type[CnnsvcError]]] = {
    error.kind.value: error
    for error in (
        errors.InvalidError,
        errors.UnsupportedError,
        errors.TooLargeError,
        errors.NotFoundError,
        errors.NotReadyError,
        errors.OverloadedError,
        errors.LateError,
        errors.CallCancelledError,
        errors.UnauthenticatedError,
        errors.ForbiddenError,
        errors.ConflictError,
        errors.UnimplementedError,
        errors.InternalError,
    )
}

_KINDS: Final[dict[grpc.StatusCode, Kind]] = {
    grpc.StatusCode.INVALID_ARGUMENT: Kind.INVALID,
    grpc.StatusCode.NOT_FOUND: Kind.NOT_FOUND,
    grpc.StatusCode.UNAVAILABLE: Kind.NOT_READY,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Kind.OVERLOADED,
    grpc.StatusCode.DEADLINE_EXCEEDED: Kind.LATE,
    grpc.StatusCode.CANCELLED: Kind.CANCELLED,
    grpc.StatusCode.UNAUTHENTICATED: Kind.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED: Kind.FORBIDDEN,
    grpc.StatusCode.ABORTED: Kind.CONFLICT,
    grpc.StatusCode.UNIMPLEMENTED: Kind.UNIMPLEMENTED,
}
"""What a status means that comes without our kind, from gRPC itself or a proxy; all others are internal."""

# What grpc.aio puts in place of the server's status where the call ends during a write; our server means UNAVAILABLE.
_LOST_STATUS: Final = "Internal error from Core"


def error_of_kind(kind: str, message: str) -> CnnsvcError:
    return _ERRORS.get(kind, errors.InternalError)(message)


def error_of_call(address: str, error: Any) -> CnnsvcError:
    """The error of a grpc.RpcError, whose concrete classes alone have a code."""
    found = _error_of_call(address, error)
    if isinstance(found, OverloadedError):
        told = retry_after_seconds(error.trailing_metadata())
        found.retry_after_seconds = found.retry_after_seconds if told is None else told
    return found


def _error_of_call(address: str, error: Any) -> CnnsvcError:
    code, details = error.code(), error.details() or ""
    if kind := _kind_told(error.trailing_metadata()):
        return error_of_kind(kind, details)
    if code is grpc.StatusCode.INTERNAL and details == _LOST_STATUS:
        return NotReadyError(f"{address} cannot be reached: it ended the call while an image was being sent")
    if code is grpc.StatusCode.UNAVAILABLE:
        return NotReadyError(f"{address} cannot be reached: {details}")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return LateError(f"{address} gave no answer before the deadline")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in details:
        return TooLargeError(f"{address}: {details}")
    return error_of_kind(_KINDS.get(code, Kind.INTERNAL), f"{address} answers {code.name}: {details}")


def _kind_told(metadata: Iterable[tuple[str, str | bytes]] | None) -> str:
    """The word of cnnsvc.errors.Kind that our server sends with every error."""
    return next((str(value) for key, value in metadata or () if key == "cnnsvc-error-kind"), "")
