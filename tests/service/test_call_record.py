"""What is read of a call's source is the same whatever protocol it came by."""

from typing import Any

import pytest

from service.call_record import CallRecord, Source, address_of, header_values


class GrpcCall:
    def __init__(self, peer: str, metadata: Any = None) -> None:
        self._peer = peer
        self._metadata = metadata

    def peer(self) -> str:
        return self._peer

    def invocation_metadata(self) -> Any:
        return self._metadata


@pytest.mark.parametrize(
    ("source", "address"),
    [
        ({"client": ("192.0.2.7", 50000)}, "192.0.2.7"),
        ({"client": ("2001:db8::1", 50000)}, "2001:db8::1"),
        ({"client": None}, ""),
        ({}, ""),
        (GrpcCall("ipv4:192.0.2.7:50000"), "192.0.2.7"),
        (GrpcCall("ipv6:%5B2001:db8::1%5D:50000"), "2001:db8::1"),
        (GrpcCall("ipv6:[2001:db8::1]:50000"), "2001:db8::1"),
        (GrpcCall("unix:/run/socket"), ""),
        (GrpcCall(""), ""),
    ],
)
def test_the_callers_address(source: Source, address: str) -> None:
    """It comes without its port, and is empty where there is none."""
    assert address_of(source) == address


@pytest.mark.parametrize(
    "source",
    [
        {"headers": [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]},
        GrpcCall("", [("a", "1"), ("b", "2"), ("a", "3"), ("a", b"of a key that ends in -bin")]),
    ],
)
def test_headers_and_metadata(source: Source) -> None:
    """Every value of a name comes, in order; none of a name that is absent."""
    assert header_values(source, "a") == ["1", "3"]
    assert header_values(source, "c") == []


def test_no_metadata() -> None:
    """A gRPC call may carry none at all."""
    assert header_values(GrpcCall(""), "a") == []


def test_times_since_1970() -> None:
    """A moment of the monotonic clock is as far from the call's beginning as it was on that clock."""
    record = CallRecord("http", "classify", {}, began_ns=1_000_000_000, began_at=50.0)
    assert record.nanoseconds(50.25) == 1_250_000_000
