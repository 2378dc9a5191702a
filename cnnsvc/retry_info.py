"""After how long to try again, as gRPC tells it: google.rpc.RetryInfo inside the google.rpc.Status of a failed call."""

from collections.abc import Iterable
from typing import Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

STATUS_KEY: Final = "grpc-status-details-bin"
"""Trailing metadata."""


def status_with_retry(code: grpc.StatusCode, message: str, retry_after_seconds: float) -> bytes:
    """The value of STATUS_KEY."""
    info = RetryInfo()
    info.retry_delay.FromMilliseconds(round(1000 * retry_after_seconds))
    status = Status(code=code.value[0], message=message)
    status.details.add().Pack(info)
    value: bytes = status.SerializeToString()
    return value


def retry_after_seconds(metadata: Iterable[tuple[str, str | bytes]] | None) -> float | None:
    """What the trailing metadata of a call says; None where it says nothing that can be read."""
    value = next((value for key, value in metadata or () if key == STATUS_KEY), None)
    info = RetryInfo()
    try:
        if isinstance(value, bytes) and any(detail.Unpack(info) for detail in Status.FromString(value).details):
            return float(info.retry_delay.ToTimedelta().total_seconds())
    except (DecodeError, ValueError, OverflowError):  # a proxy's own
        pass
    return None
