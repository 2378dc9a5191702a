"""HTTP/2 as a client writes it byte for byte, right or wrong, and what a server has to say to that."""

import socket
import struct
import time
from dataclasses import dataclass, field
from typing import Final, Self

import hpack

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8

_FRAME_HEAD: Final = 9
_TIMEOUT_SECONDS: Final = 2.0


def frame(kind: int, flags: int, stream: int, payload: bytes = b"", *, length: int | None = None) -> bytes:
    """`length` is what the frame claims where that is not what it has."""
    claimed = len(payload) if length is None else length
    return struct.pack(">HBBBI", claimed >> 8, claimed & 0xFF, kind, flags, stream) + payload


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def block(headers: list[tuple[str, str]]) -> bytes:
    """Headers in HPACK, none of them remembered by the receiver, so that it fits at any place of a connection."""
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    return bytes(encoder.encode([hpack.NeverIndexedHeaderTuple(*pair) for pair in headers], huffman=False))


def message(payload: bytes, *, flag: int = 0, length: int | None = None) -> bytes:
    """A gRPC message with its prefix."""
    return struct.pack(">BI", flag, len(payload) if length is None else length) + payload


@dataclass
class Peer:
    """One raw connection."""

    sock: socket.socket
    _unread: bytearray = field(default_factory=bytearray)
    _decoder: hpack.Decoder = field(default_factory=hpack.Decoder)

    @classmethod
    def connect(cls, address: str) -> Self:
        host, _, port = address.rpartition(":")
        return cls(socket.create_connection((host, int(port)), timeout=_TIMEOUT_SECONDS))

    def send(self, *pieces: bytes) -> None:
        """As much as the server takes: it may have closed the connection before."""
        try:
            self.sock.sendall(b"".join(pieces))
        except (ConnectionError, TimeoutError):
            return

    def verdict(self, patience_seconds: float) -> str:
        """What comes first: the status of a call, a reset stream, a goodbye, the end of the connection; or nothing."""
        give_up = time.monotonic() + patience_seconds
        while (found := self._next_verdict()) is None:
            remaining = give_up - time.monotonic()
            if remaining <= 0:
                return "nothing"
            self.sock.settimeout(remaining)
            try:
                piece = self.sock.recv(65_536)
            except TimeoutError:
                return "nothing"
            except ConnectionError:
                return "closed"
            if not piece:
                return "closed"
            self._unread += piece
        return found

    def close(self) -> None:
        self.sock.close()

    def _next_verdict(self) -> str | None:
        """None where no frame that says one has come whole."""
        while len(self._unread) >= _FRAME_HEAD:
            high, low, kind, flags, _ = struct.unpack(">HBBBI", self._unread[:_FRAME_HEAD])
            end = _FRAME_HEAD + (high << 8 | low)
            if len(self._unread) < end:
                return None
            payload = bytes(self._unread[_FRAME_HEAD:end])
            del self._unread[:end]
            if found := self._verdict_of(kind, flags, payload):
                return found
        return None

    def _verdict_of(self, kind: int, flags: int, payload: bytes) -> str | None:
        if kind == HEADERS:
            headers = {str(each[0]): str(each[1]) for each in self._decoder.decode(payload)}
            return _status_of(headers, is_last=bool(flags & END_STREAM))
        if kind == RST_STREAM:
            return f"reset {int.from_bytes(payload)}"
        if kind == GOAWAY:
            return f"goodbye {int.from_bytes(payload[4:8])}"
        return None


def _status_of(headers: dict[str, str], *, is_last: bool) -> str | None:
    if (status := headers.get("grpc-status")) is not None:
        return f"status {status}"
    return f"HTTP {headers.get(':status')}" if is_last or headers.get(":status") != "200" else None
