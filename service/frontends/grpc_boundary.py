"""What every native gRPC call gets: a request id both ways, and its error as a status with the kind beside it."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator
from typing import Any, Final, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from cnnsvc.errors import CnnsvcError, InvalidError, Kind, LateError, OverloadedError
from cnnsvc.retry_info import STATUS_KEY, status_with_retry
from service.frontends.status import grpc_status
from service.logs import REQUEST_ID_HEADER, bind_request_id, current_request_id

ERROR_KIND_KEY: Final = "cnnsvc-error-kind"
"""Trailing metadata with the word of cnnsvc.errors.Kind, since several kinds share a status."""

Context = grpc.aio.ServicerContext[Any, Any]
Request = TypeVar("Request", bound=Message)

# A client that gives up at its deadline says so a moment before ours passes; its clock began earlier.
_SLACK_SECONDS: Final = 0.05

_log = logging.getLogger("cnnsvc.grpc")


def name_call(context: Context) -> None:
    """Gives the call its request id, the caller's own where it is safe to repeat: for the log, and sent back.

    It goes back as trailing metadata: initial metadata would end the client's right to retry a call that fails.
    """
    given = next((value for key, value in context.invocation_metadata() or () if key == REQUEST_ID_HEADER), None)
    request_id = bind_request_id(given if isinstance(given, str) else None)
    context.set_trailing_metadata(((REQUEST_ID_HEADER, request_id),))


def parse(message: type[Request], request_bytes: bytes) -> Request:
    """The request. Raises InvalidError where the bytes are not such a message."""
    try:
        return message.FromString(request_bytes)
    except DecodeError:
        raise InvalidError(
            f"{len(request_bytes)} bytes came that are not a message {message.DESCRIPTOR.full_name}"
        ) from None


@contextlib.contextmanager
def late_at_deadline(context: Context) -> Iterator[None]:
    """Raises LateError where gRPC cancels the call because its deadline passes, so that it is counted as that."""
    try:
        yield
    except asyncio.CancelledError:
        remaining_seconds = context.time_remaining()
        if remaining_seconds is not None and remaining_seconds < _SLACK_SECONDS:
            raise LateError("the deadline passed before the answer") from None
        raise


def deadline_of(context: Context) -> float | None:
    """The call's deadline on the monotonic clock, in seconds."""
    remaining_seconds = context.time_remaining()
    return None if remaining_seconds is None else time.monotonic() + remaining_seconds


def describe(error: Exception) -> tuple[Kind, str]:
    """Kind and message for the caller; an internal error's own words are for the log."""
    if isinstance(error, CnnsvcError) and error.kind is not Kind.INTERNAL:
        return error.kind, str(error)
    _log.error("a call failed", exc_info=error)
    return Kind.INTERNAL, f"internal error; request id {current_request_id()}"


async def refuse(context: Context, error: Exception) -> None:
    """Ends the call with the error's status; what its method returns afterwards is not sent.

    gRPC keeps its AbortError with the call and raises it again. Its traceback must not stay: it would keep the request
    in a cycle through the call, and refused images would pile up until the collector's next full run.
    """
    kind, message = describe(error)
    trailing: list[tuple[str, str | bytes]] = [
        (REQUEST_ID_HEADER, current_request_id()),
        (ERROR_KIND_KEY, kind.value),
    ]
    if isinstance(error, OverloadedError):
        trailing.append((STATUS_KEY, status_with_retry(grpc_status(kind), message, error.retry_after_seconds)))
    try:
        await context.abort(grpc_status(kind), message, tuple(trailing))
    except grpc.aio.AbortError as aborted:
        aborted.__traceback__ = aborted.__context__ = None
    except grpc.aio.BaseError:  # the call is over and nobody reads the status; gRPC would log a traceback
        raise asyncio.CancelledError from None
