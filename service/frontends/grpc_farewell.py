"""The end of the gRPC door: clients are sent elsewhere first, while their calls are still taken, and it stops then.

gRPC's own stop tells clients to go (GOAWAY) and from the same moment on drops every call that it has not yet begun,
those among them that were sent before a client could know: CANCELLED, which no client tries again. It has no call that
only tells. So the frame is written into the connections here: HTTP/2's notice of a coming shutdown (RFC 9113, 6.8),
which names no last stream and lets all go on that have begun.
"""

import contextlib
import select
import socket
import struct
import time
from typing import Final

_GOAWAY: Final = 0x07
_LAST_STREAM: Final = 2**31 - 1
_NOTICE: Final = struct.pack(">BHBBIII", 0, 8, _GOAWAY, 0, 0, _LAST_STREAM, 0)
_STILL_SECONDS: Final = 0.01


def send_away(connections: list[socket.socket]) -> list[socket.socket]:
    """Tells the clients of these HTTP/2 connections to begin no more calls on them; those that could be told.

    Blocks the calling thread, which must be the one that answers calls: what gRPC still had to write is written by
    then, and it begins nothing, so that the frame falls between two of its own. Where the send buffer is full, gRPC
    may be in the middle of one: try again later.
    """
    if connections:
        time.sleep(_STILL_SECONDS)
    return [connection for connection in connections if _is_writable(connection) and _is_sent(connection)]


def _is_writable(connection: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connection, select.POLLOUT)
    return bool(poll.poll(0))


def _is_sent(connection: socket.socket) -> bool:
    """Also where nobody is left to hear it."""
    with contextlib.suppress(OSError):
        return connection.send(_NOTICE, socket.MSG_DONTWAIT) == len(_NOTICE)
    return True
