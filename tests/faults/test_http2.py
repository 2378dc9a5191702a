"""Frames and messages as they are written byte for byte, and what a peer says to them."""

import socket
import struct

import hpack
import pytest

from bench.faults.http2 import DATA, GOAWAY, HEADERS, RST_STREAM, SETTINGS, Peer, block, frame, message, settings

_OK = block([(":status", "200")])


def test_a_frame_claims_its_length_or_another() -> None:
    """Three bytes of length, kind, flags, stream."""
    assert frame(DATA, 1, 3, b"ab") == b"\0\0\x02\0\x01\0\0\0\x03ab"
    assert frame(DATA, 1, 3, b"ab", length=0xFFFFFF)[:3] == b"\xff\xff\xff"
    assert settings((4, 0)) == b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0"


def test_a_message_claims_its_length_or_another() -> None:
    """The compression flag and four bytes of length before it."""
    assert message(b"ab") == b"\0\0\0\0\x02ab"
    assert message(b"ab", flag=7, length=0xFFFFFFFF) == b"\x07\xff\xff\xff\xffab"


def test_headers_need_no_memory_of_others() -> None:
    """A receiver with no table reads them."""
    decoder = hpack.Decoder()
    decoder.max_allowed_table_size = 0
    decoder.header_table_size = 0
    headers = [(":method", "POST"), ("x-own", "value")]
    assert [(str(name), str(value)) for name, value, *_ in decoder.decode(block(headers))] == headers


@pytest.mark.parametrize(
    ("sent", "verdict"),
    [
        (frame(HEADERS, 4, 1, _OK) + frame(HEADERS, 5, 1, block([("grpc-status", "8")])), "status 8"),
        (frame(HEADERS, 5, 1, block([(":status", "415")])), "HTTP 415"),
        (frame(SETTINGS, 0, 0) + frame(RST_STREAM, 0, 1, struct.pack(">I", 2)), "reset 2"),
        (frame(GOAWAY, 0, 0, struct.pack(">II", 0, 11)), "goodbye 11"),
        (frame(DATA, 0, 1, b"x", length=100), "closed"),
        (b"", "closed"),
    ],
)
def test_verdicts(sent: bytes, verdict: str) -> None:
    """What the other side says is told in a word; a frame that has not come whole says nothing."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(sent)
        theirs.close()
        assert Peer(ours).verdict(1.0) == verdict


def test_silence_is_no_verdict() -> None:
    """After its patience."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert Peer(ours).verdict(0.05) == "nothing"
