"""What no client should send to a gRPC port: HTTP/2 that is none, too much of it, broken messages."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from bench.faults.http2 import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Peer,
    block,
    frame,
    message,
    settings,
)
from cnnsvc.pb import classifier_pb2 as pb
from tests.encoded import encode

_REQUEST: Final = pb.ClassifyRequest(images=[encode("JPEG")]).SerializeToString()
_HELLO: Final = PREFACE + settings()
_NUM_FLOODED: Final = 1000
_CALL: Final[dict[str, str]] = {
    ":method": "POST", ":scheme": "http", ":path": "/cnnsvc.v1.Classifier/Classify", ":authority": "localhost",
    "te": "trailers", "content-type": "application/grpc",
}  # fmt: skip
_HEADER_TABLE_SIZE, _ENABLE_PUSH, _INITIAL_WINDOW, _MAX_FRAME_SIZE = 1, 2, 4, 5


@dataclass(frozen=True)
class Attack:
    name: str
    bytes_sent: bytes
    is_half_open: bool = False
    """The client says no more and does not close for long."""


def attacks() -> list[Attack]:
    return [*_prefaces(), *_frames(), *_floods(), *_headers(), *_messages(), *_half_open()]


def path_of_noise() -> Attack:
    """Apart from the others: grpcio's server ends at it, and calls in flight with it; service.frontends.grpc_door."""
    path = b"/\xff"
    literal = b"\x00\x05:path" + bytes([len(path)]) + path
    headers = block([pair for pair in _CALL.items() if pair[0] != ":path"])
    return Attack("path that is no text", _HELLO + frame(HEADERS, END_HEADERS | END_STREAM, 1, literal + headers))


def start(attack: Attack, address: str) -> Peer:
    peer = Peer.connect(address)
    peer.send(attack.bytes_sent)
    return peer


def _call(changed: Mapping[str, str] = MappingProxyType({}), *, stream: int = 1) -> bytes:
    """The headers of a call; a change to "" leaves one out."""
    return frame(HEADERS, END_HEADERS, stream, block([pair for pair in {**_CALL, **changed}.items() if pair[1]]))


def _data(payload: bytes, stream: int = 1, flags: int = END_STREAM) -> bytes:
    return frame(DATA, flags, stream, payload)


def _prefaces() -> Iterator[Attack]:
    yield Attack("nothing, and closed", b"")
    yield Attack("HTTP/1.1 to the gRPC port", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    yield Attack("noise", random.Random(0).randbytes(4096))
    yield Attack("half a preface", PREFACE[:12])
    yield Attack("preface with another word", PREFACE.replace(b"SM", b"MS") + settings())
    yield Attack("no SETTINGS after the preface", PREFACE + _call() + _data(message(_REQUEST)))


def _frames() -> Iterator[Attack]:
    good = _call() + _data(message(_REQUEST))
    wrong: dict[str, bytes] = {
        "frame that claims 16 MiB": frame(DATA, 0, 1, b"x" * 100, length=0xFFFFFF),
        "frame longer than allowed": _call() + frame(DATA, 0, 1, bytes(20_000)),
        "frame of less than its head says": _call() + frame(DATA, END_STREAM, 1, b"x", length=500),
        "SETTINGS of 5 bytes": frame(SETTINGS, 0, 0, bytes(5)),
        "SETTINGS of a stream": frame(SETTINGS, 0, 3, bytes(6)),
        "SETTINGS with an impossible window": settings((_INITIAL_WINDOW, 0xFFFFFFFF)),
        "SETTINGS with frames of 0 bytes": settings((_MAX_FRAME_SIZE, 0)),
        "SETTINGS with push 2": settings((_ENABLE_PUSH, 2)),
        "acknowledged what was not sent": frame(SETTINGS, ACK, 0) * 20,
        "SETTINGS acknowledged with a body": frame(SETTINGS, ACK, 0, bytes(6)),
        "PING of 7 bytes": frame(PING, 0, 0, bytes(7)),
        "WINDOW_UPDATE by 0": _call() + frame(WINDOW_UPDATE, 0, 1, bytes(4)),
        "WINDOW_UPDATE past the end": frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff") * 2,
        "PUSH_PROMISE of a client": frame(PUSH_PROMISE, END_HEADERS, 1, bytes(4) + block([*_CALL.items()])),
        "DATA of stream 0": frame(DATA, 0, 0, message(_REQUEST)),
        "DATA of a stream that is not open": _data(message(_REQUEST), stream=7),
        "reset of a stream that is not open": frame(RST_STREAM, 0, 7, bytes(4)),
        "call on an even stream": _call(stream=2) + _data(message(_REQUEST), stream=2),
        "streams that go backwards": _call(stream=9) + _call(stream=3),
        "padding longer than its frame": _call() + frame(DATA, PADDED, 1, b"\xff" + bytes(10)),
        "CONTINUATION of nothing": frame(CONTINUATION, END_HEADERS, 1, block([*_CALL.items()])),
        "DATA in the middle of headers": frame(HEADERS, 0, 1, block([*_CALL.items()])) + _data(message(_REQUEST)),
        "goodbye, then a call": frame(GOAWAY, 0, 0, bytes(8)) + good,
        "frame of no known kind, then a call": frame(0xEE, 0xFF, 0, b"what") + good,
    }
    for name, sent in wrong.items():
        yield Attack(name, _HELLO + sent)


def _floods() -> Iterator[Attack]:
    """Each bounded: a client that sends without end is for what stands before the server."""
    resets = b"".join(
        _call(stream=2 * number + 1) + frame(RST_STREAM, 0, 2 * number + 1, b"\0\0\0\x08") for number in range(200)
    )
    # One entry of nearly the whole table, and then its number again and again.
    entry = b"\x40\x01a\x7f\xa1\x1e" + b"v" * 4000
    bomb = block([*_CALL.items()]) + entry + b"\xbe" * 4000
    piece = block([("x", "y" * 1000)])
    yield Attack("rapid reset, 200 calls", _HELLO + resets)
    yield Attack(
        "200 calls begun and none made", _HELLO + b"".join(_call(stream=2 * number + 1) for number in range(200))
    )
    yield Attack("headers of 64 KiB", _HELLO + _split(block([*_CALL.items(), ("x", "y" * 65_536)])))
    yield Attack("3,000 headers", _HELLO + _split(block([*_CALL.items(), *[("x", "y")] * 3000])))
    yield Attack("headers that expand to 16 MB", _HELLO + _split(bomb))
    yield Attack(
        "CONTINUATION, 1,000 and no end",
        _HELLO + frame(HEADERS, 0, 1, block([*_CALL.items()])) + frame(CONTINUATION, 0, 1, piece) * _NUM_FLOODED,
    )
    yield Attack(
        "CONTINUATION, 1,000 empty ones",
        _HELLO + frame(HEADERS, 0, 1, block([*_CALL.items()])) + frame(CONTINUATION, 0, 1) * _NUM_FLOODED,
    )
    yield Attack("1,000 SETTINGS", _HELLO + settings((_HEADER_TABLE_SIZE, 0), (_INITIAL_WINDOW, 1)) * _NUM_FLOODED)
    yield Attack("1,000 PING", _HELLO + frame(PING, 0, 0, bytes(8)) * _NUM_FLOODED)
    yield Attack("1,000 empty DATA", _HELLO + _call() + _data(b"", flags=0) * _NUM_FLOODED)


def _headers() -> Iterator[Attack]:
    wrong: dict[str, bytes] = {
        "headers with index 0": frame(HEADERS, END_HEADERS, 1, b"\x80"),
        "headers with an unknown index": frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\x7f"),
        "headers cut in a string": frame(HEADERS, END_HEADERS, 1, block([*_CALL.items()])[:-5]),
        "headers with broken Huffman": frame(HEADERS, END_HEADERS, 1, b"\x00\x82\xff\xff\x01x"),
        "no path": _call({":path": ""}) + _data(message(_REQUEST)),
        "GET": _call({":method": "GET"}) + _data(message(_REQUEST)),
        "another content type": _call({"content-type": "text/html"}) + _data(message(_REQUEST)),
        "no TE": _call({"te": ""}) + _data(message(_REQUEST)),
        "a time limit of words": _call({"grpc-timeout": "soon"}) + _data(message(_REQUEST)),
        "binary metadata that is no base64": _call({"x-bin": "%%%"}) + _data(message(_REQUEST)),
        "unknown method": _call({":path": "/cnnsvc.v1.Classifier/Guess"}) + _data(message(_REQUEST)),
        "header name in capitals": _call({"X-Loud": "yes"}) + _data(message(_REQUEST)),
    }
    for name, sent in wrong.items():
        yield Attack(name, _HELLO + sent)


def _messages() -> Iterator[Attack]:
    wrong: dict[str, bytes] = {
        "a call without a message": _call() + _data(b""),
        "message cut off": _call() + _data(message(_REQUEST[:50], length=len(_REQUEST))),
        "prefix cut off": _call() + _data(b"\0\0\0"),
        "two messages": _call() + _data(message(_REQUEST) * 2),
        "message that claims 4 GiB": _call() + _data(message(_REQUEST, length=0xFFFFFFFF), flags=0),
        "message over the limit": _call() + _data(message(b"x" * 1000, length=33 * 1024 * 1024), flags=0),
        "compressed, by no coding": _call() + _data(message(_REQUEST, flag=1)),
        "compression flag 7": _call() + _data(message(_REQUEST, flag=7)),
        "unknown coding": _call({"grpc-encoding": "br"}) + _data(message(_REQUEST, flag=1)),
        "gzip that is none": _call({"grpc-encoding": "gzip"}) + _data(message(_REQUEST, flag=1)),
        "bytes that are no message": _call() + _data(message(b"\xff" * 100)),
        "stream of bytes that are no message": _call({":path": "/cnnsvc.v1.Classifier/ClassifyStream"})
        + _data(message(b"\xff" * 100) * 3),
    }
    for name, sent in wrong.items():
        yield Attack(name, _HELLO + sent)


def _half_open() -> Iterator[Attack]:
    stream = _call({":path": "/cnnsvc.v1.Classifier/ClassifyStream"})
    silent: dict[str, bytes] = {
        "half-open after nothing": b"",
        "half-open in the preface": PREFACE[:5],
        "half-open in a frame's head": _HELLO + frame(SETTINGS, 0, 0)[:4],
        "half-open in the headers": _HELLO + frame(HEADERS, 0, 1, block([*_CALL.items()])),
        "half-open in a message": _HELLO + _call() + _data(message(_REQUEST)[:100], flags=0),
        "half-open in a stream": _HELLO + stream + _data(message(_REQUEST)[:100], flags=0),
        "no window for the answer": PREFACE + settings((_INITIAL_WINDOW, 0)) + _call() + _data(message(_REQUEST)),
    }
    for name, sent in silent.items():
        yield Attack(name, sent, is_half_open=True)


def _split(fragment: bytes, size: int = 16_000) -> bytes:
    """A block of headers over as many frames as it needs."""
    pieces = [fragment[start : start + size] for start in range(0, len(fragment), size)]
    kinds: list[tuple[int, int]] = [(CONTINUATION, 0)] * len(pieces)
    kinds[0] = (HEADERS, 0)
    kinds[-1] = (kinds[-1][0], END_HEADERS)
    return b"".join(frame(kind, flags, 1, piece) for (kind, flags), piece in zip(kinds, pieces, strict=True))
