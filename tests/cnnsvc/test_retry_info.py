"""The retry hint of a failed gRPC call, as any client of google.rpc reads and writes it."""

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from cnnsvc.retry_info import STATUS_KEY, retry_after_seconds, status_with_retry


def test_what_is_written_is_a_status_with_a_retry_info() -> None:
    """Code and message are those of the call, the delay has milliseconds, and it is read as it was written."""
    value = status_with_retry(grpc.StatusCode.RESOURCE_EXHAUSTED, "too much waits", 1.2504)
    status, info = Status.FromString(value), RetryInfo()
    assert (status.code, status.message) == (8, "too much waits")
    (detail,) = status.details
    assert detail.type_url == "type.googleapis.com/google.rpc.RetryInfo"
    assert detail.Unpack(info)
    assert (info.retry_delay.seconds, info.retry_delay.nanos) == (1, 250_000_000)
    assert retry_after_seconds([("x", "y"), (STATUS_KEY, value)]) == 1.25


def test_other_details_may_stand_beside_it() -> None:
    """A proxy may add its own before ours."""
    status, info, other = Status(code=8), RetryInfo(), ErrorInfo(reason="QUOTA")
    info.retry_delay.seconds = 3
    for message in (other, info):
        status.details.add().Pack(message)
    assert retry_after_seconds([(STATUS_KEY, status.SerializeToString())]) == 3


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        [],
        [(STATUS_KEY, b"")],
        [(STATUS_KEY, b"\xff\xff")],
        [(STATUS_KEY, "no bytes")],
        [(STATUS_KEY, b'\x1a1\n(type.googleapis.com/google.rpc.RetryInfo\x12\x05\xff\xff\xff\xff\xff')],
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_nothing(metadata: list[tuple[str, str | bytes]] | None) -> None:
    """No metadata, none of ours and broken bytes are no hint and no error."""
    assert retry_after_seconds(metadata) is None
