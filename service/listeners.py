"""Listening sockets at their end: closed so that no connection is lost whose caller has been told that it is made.

The kernel makes connections by itself and resets those that are not taken yet when their listener is closed.
"""

import asyncio
import contextlib
import ctypes
import os
import select
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_SO_ATTACH_FILTER: Final = 26
"""Of Linux; Python's socket module does not name it."""
# As (code, jump if true, jump if false, operand) of classic BPF, over a segment that begins with its TCP header.
_NO_NEW_HANDSHAKE: Final = (
    (0x30, 0, 0, 13),  # load the byte of flags
    (0x54, 0, 0, 0x12),  # of which SYN and ACK
    (0x15, 0, 1, 0x02),  # SYN alone begins a handshake:
    (0x06, 0, 0, 0),  # drop it
    (0x06, 0, 0, 0xFFFFFFFF),  # take all else, the ends of handshakes that have begun among it
)
_INSTRUCTIONS: Final = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in _NO_NEW_HANDSHAKE))
_PROGRAM: Final = struct.pack("HL", len(_NO_NEW_HANDSHAKE), ctypes.addressof(_INSTRUCTIONS))
_POLL_SECONDS: Final = 0.001


async def take_in(listeners: list[socket.socket], most_seconds: float) -> None:
    """Waits until whoever accepts has taken every connection, while no new one can begin; close the sockets then.

    A caller who comes meanwhile is not told anything: its kernel tries again a second later, and meets a closed port.
    """
    for listener in listeners:
        with contextlib.suppress(OSError):  # not this kernel: a connection made at the very end may be lost
            listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, _PROGRAM)
    give_up = time.monotonic() + most_seconds
    while _is_any_waiting(listeners) and time.monotonic() < give_up:  # noqa: ASYNC110  # the kernel tells who accepts
        await asyncio.sleep(_POLL_SECONDS)


@contextlib.contextmanager
def sockets_on(port: int) -> Iterator[tuple[list[socket.socket], list[socket.socket]]]:
    """Listeners and connections of this process on a port of its own, whoever made them, as duplicates."""
    found: dict[int, socket.socket] = {}
    with contextlib.ExitStack() as opened:
        for entry in Path("/proc/self/fd").iterdir():
            sock = _duplicate(int(entry.name), port)
            if sock:
                # By inode: a duplicate may get a number that is still to come.
                found[os.fstat(sock.fileno()).st_ino] = opened.enter_context(sock)
        listeners = [sock for sock in found.values() if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)]
        yield listeners, [sock for sock in found.values() if sock not in listeners]


def _is_any_waiting(listeners: list[socket.socket]) -> bool:
    poll = select.poll()  # select() refuses descriptors from 1024 on
    for listener in listeners:
        poll.register(listener, select.POLLIN)
    return bool(poll.poll(0))


def _duplicate(descriptor: int, port: int) -> socket.socket | None:
    """None where the descriptor is closed meanwhile, no socket or on another port."""
    try:
        duplicate = os.dup(descriptor)
    except OSError:
        return None
    try:
        sock = socket.socket(fileno=duplicate)
    except OSError:
        os.close(duplicate)
        return None
    if sock.family in (socket.AF_INET, socket.AF_INET6) and sock.getsockname()[1] == port:
        return sock
    sock.close()
    return None
