"""Listeners that are about to be closed: what was connected is taken in, and nobody else gets in."""

import asyncio
import socket
import time

import pytest

from service.listeners import sockets_on, take_in


def _server() -> tuple[socket.socket, tuple[str, int]]:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    return listener, listener.getsockname()


async def test_what_is_connected_is_waited_for() -> None:
    """It ends as soon as the last connection is taken."""
    listener, address = _server()
    with listener, socket.create_connection(address), socket.create_connection(address):
        waiting = asyncio.create_task(take_in([listener], 10))
        for _ in range(2):
            await asyncio.sleep(0.05)
            assert not waiting.done()
            listener.accept()[0].close()
        await asyncio.wait_for(waiting, 5)


async def test_nobody_else_gets_in() -> None:
    """A caller who comes later is not connected, so that closing the listener resets no connection of theirs."""
    listener, address = _server()
    with listener, socket.create_connection(address) as before:
        taken, _ = listener.accept()
        await take_in([listener], 10)
        with pytest.raises(TimeoutError):
            socket.create_connection(address, timeout=0.2)
        with taken:
            before.sendall(b"still")
            assert taken.recv(10) == b"still"


async def test_a_wait_has_an_end() -> None:
    """Where nobody takes connections in, it gives up."""
    listener, address = _server()
    with listener, socket.create_connection(address):
        started = time.monotonic()
        await take_in([listener], 0.1)
        assert 0.1 <= time.monotonic() - started < 5


def test_sockets_are_found_by_their_port() -> None:
    """Listeners and connections of this side of a port, and nothing of another one."""
    listener, address = _server()
    other, _ = _server()
    with listener, other, socket.create_connection(address):
        taken, peer = listener.accept()
        with taken, sockets_on(address[1]) as (listeners, connections):
            assert [sock.getsockname() for sock in listeners] == [address]
            assert [sock.getpeername() for sock in connections] == [peer]
        assert listener.fileno() >= 0
