"""The end of the HTTP door: what was accepted is answered, and what is left open is closed."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.fakes import FakePredictor
from tests.service.frontends.http_door import open_door, stoppable, until
from tests.service.frontends.test_http_connection import HEAD, LIVE, TOO_LARGE, connected, read_problem, read_response


async def read_last(reader: asyncio.StreamReader) -> int:
    """The status of one answer that says that it is the last one of its connection, which is then closed."""
    answer = await asyncio.wait_for(reader.read(), 5)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"\r\nconnection: close\r\n" in answer
    return int(answer.split(b" ", 2)[1])


@asynccontextmanager
async def used(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that has been answered once and is idle."""
    async with connected(port) as (reader, writer):
        writer.write(LIVE)
        assert await read_response(reader) == (200, b"ok")
        yield reader, writer


async def test_in_the_pause_each_answer_is_the_last_of_its_connection() -> None:
    """Clients with open connections go elsewhere by an answer; new connections are still taken."""
    async with stoppable(open_door()) as (server, port), used(port) as (reader, writer):
        server.begin_stop()
        for _ in range(2):
            async with connected(port) as (new_reader, new_writer):
                new_writer.write(LIVE)
                assert await read_last(new_reader) == 200
        writer.write(LIVE)
        assert await read_last(reader) == 200


async def test_a_request_that_comes_while_the_door_closes_is_answered() -> None:
    """An idle connection whose client sends at that moment gets an answer and no reset; a silent one is closed."""
    async with stoppable(open_door()) as (server, port), used(port) as (reader, writer), used(port) as (idle, _):
        server.close(time.monotonic() + 10)
        await until(lambda: not server.servers[0].sockets)
        writer.write(LIVE)
        assert await read_last(reader) == 200
        assert await asyncio.wait_for(idle.read(), 5) == b""


async def test_connections_that_nobody_has_taken_yet_are_answered() -> None:
    """Those that wait in the kernel when the server is told to stop are taken in first, and are given time to ask."""
    async with stoppable(open_door()) as (server, port):
        server.close(time.monotonic() + 10)
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]  # the loop stands still meanwhile
        streams = [await asyncio.open_connection(sock=client) for client in clients]
        await asyncio.sleep(0.3)
        for _, writer in streams:
            writer.write(LIVE)
        assert [await read_last(reader) for reader, _ in streams] == [200] * 50
        for _, writer in streams:
            writer.close()


async def test_requests_one_behind_the_other_are_all_answered() -> None:
    """The last one of a connection says that it is, not one before it."""
    async with stoppable(open_door()) as (server, port), connected(port) as (reader, writer):
        server.begin_stop()
        writer.write(LIVE * 3)
        assert await read_response(reader) == (200, b"ok")
        assert await read_response(reader) == (200, b"ok")
        assert await read_last(reader) == 200


async def test_a_refused_body_is_let_pass_by_first() -> None:
    """Closing under a writing client would lose the answer."""
    async with stoppable(open_door()) as (server, port), connected(port) as (reader, writer):
        server.begin_stop()
        writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % (20 * TOO_LARGE))
        for _ in range(20):
            writer.write(bytes(TOO_LARGE))
            await asyncio.wait_for(writer.drain(), 5)
        assert await read_last(reader) == 413


async def test_a_call_past_the_grace_is_told_why(caplog: pytest.LogCaptureFixture) -> None:
    """It gets a problem document of kind not_ready, and nothing is logged as an error."""
    door = open_door(FakePredictor(is_stuck=True))
    async with stoppable(door) as (server, port), connected(port) as (reader, writer):
        writer.write(HEAD + b"Content-Length: 3\r\n\r\nabc")
        await asyncio.wait_for(door.predictor.is_asked.wait(), 5)
        server.close(time.monotonic() + 0.3)
        assert await read_problem(reader) == (503, "not_ready")
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_without_connections_the_end_is_quick() -> None:
    """Nobody is waited for."""
    async with stoppable(open_door()) as (server, _):
        started = time.monotonic()
        server.close(started + 10)
    assert time.monotonic() < started + 0.4
