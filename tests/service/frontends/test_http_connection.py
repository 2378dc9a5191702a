"""What only a real connection shows: limits of time and size, bodies that are cut short, and clients that go away."""

import asyncio
import contextlib
import dataclasses
import json
import logging
import socket
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from service.frontends.http_connection import HEAD_LIMIT_BYTES, ConnectionLimits
from service.frontends.http_server import bind_http
from tests.fakes import FakePredictor
from tests.service.frontends.http_door import BODY_LIMIT_BYTES, listening, open_door, until

HEAD = b"POST /api/v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
LIVE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
TOO_LARGE = BODY_LIMIT_BYTES * 5
STRICT = ConnectionLimits(head_timeout_ms=100, keep_alive_ms=1000)


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionResetError):  # by a server that has ended it while something came
            await writer.wait_closed()


async def read_response(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and body of one response with a Content-Length."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return int(head.split(b" ", 2)[1]), await reader.readexactly(int(lengths[0].partition(b":")[2]))


async def test_a_refused_body_does_not_break_the_connection() -> None:
    """A client that writes all of a too large body before it reads gets the 413, and may use the connection again."""
    async with listening(open_door()) as port, connected(port) as (reader, writer):
        writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % TOO_LARGE)
        for _ in range(5):
            writer.write(bytes(TOO_LARGE // 5))
            await asyncio.wait_for(writer.drain(), 5)
        writer.write(LIVE)
        status, body = await read_response(reader)
        assert status == 413
        assert b"the body has %d bytes; allowed are %d" % (TOO_LARGE, BODY_LIMIT_BYTES) in body
        assert await read_response(reader) == (200, b"ok")


async def test_a_client_that_closes_after_the_answer_gets_it() -> None:
    """With Connection: close the refused body is let pass by first: closing under a writing client loses the answer."""
    async with listening(open_door()) as port, connected(port) as (reader, writer):
        writer.write(HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % (100 * TOO_LARGE))
        for _ in range(100):
            writer.write(bytes(TOO_LARGE))
            await asyncio.wait_for(writer.drain(), 5)
        status, _ = await read_response(reader)
        assert status == 413


async def pieces(*contents: bytes) -> AsyncIterator[bytes]:
    """A body that httpx sends in chunks, without announcing its length."""
    for content in contents:
        yield content


async def test_a_chunked_body_is_counted_while_it_comes() -> None:
    """Without an announced length the limit holds all the same, and the connection goes on."""
    door = open_door()
    url = "/api/v1/classify"
    async with listening(door) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        response = await client.post(url, content=pieces(*[bytes(BODY_LIMIT_BYTES // 10)] * 20))
        assert response.status_code == 413
        assert f"allowed are {BODY_LIMIT_BYTES}" in response.json()["detail"]
        assert door.num_requests("classify", "too_large") == 1
        assert (await client.post(url, content=pieces(b"ab", b"c"))).status_code == 200
        assert door.predictor.queries[0].images == [b"abc"]


async def test_a_client_that_asks_first_is_refused_before_it_sends() -> None:
    """Expect: 100-continue with a too large length is answered 413 at once; not one byte of the body is asked for."""
    async with listening(open_door()) as port, connected(port) as (reader, writer):
        writer.write(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % TOO_LARGE)
        status, _ = await read_response(reader)
        assert status == 413


async def test_a_client_that_goes_away_while_sending(caplog: pytest.LogCaptureFixture) -> None:
    """Half a body and a closed connection count as cancelled and leave no trace in the log."""
    door = open_door()
    async with listening(door) as port, connected(port) as (_, writer):
        writer.write(HEAD + b"Content-Length: 1000\r\n\r\n" + bytes(500))
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        await until(lambda: door.num_requests("classify", "cancelled") == 1)
    assert door.predictor.queries == []
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_client_that_goes_away_while_waiting(caplog: pytest.LogCaptureFixture) -> None:
    """The work of a caller who left is cancelled at once, so that it costs no inference."""
    door = open_door(FakePredictor(is_stuck=True))
    async with listening(door) as port, connected(port) as (_, writer):
        writer.write(HEAD + b"Content-Length: 3\r\n\r\nabc")
        await asyncio.wait_for(door.predictor.is_asked.wait(), 5)
        writer.close()
        await writer.wait_closed()
        await asyncio.wait_for(door.predictor.is_cancelled.wait(), 5)
        await until(lambda: door.num_requests("classify", "cancelled") == 1)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_body_that_trickles_is_late() -> None:
    """The caller's time limit runs while the body comes: one that stalls ends as late."""
    door = open_door(timeout_ms=50)
    async with listening(door) as port, connected(port) as (reader, writer):
        writer.write(HEAD + b"Content-Length: 1000\r\n\r\n" + bytes(500))
        status, body = await read_response(reader)
        assert status == 504
        assert b"the body was not complete within 50 ms" in body
    assert door.num_requests("classify", "late") == 1


async def read_problem(reader: asyncio.StreamReader) -> tuple[int, str]:
    """Status and kind of a problem document, after which the connection is closed."""
    head, _, body = (await asyncio.wait_for(reader.read(), 5)).partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    assert b"connection: close" in head
    problem = json.loads(body)
    assert f"x-request-id: {problem['request_id']}".encode() in head
    assert problem["status"] == int(head.split(b" ", 2)[1])
    return problem["status"], problem["kind"]


async def test_a_connection_that_sends_nothing_is_closed() -> None:
    """Who connects and is silent for the time of a head gets no answer: there was no question."""
    async with listening(open_door(), STRICT) as port, connected(port) as (reader, _):
        assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_half_a_head_is_answered_and_closed() -> None:
    """A head that does not end in time is a 408, on a new connection and on one that has served before."""
    async with listening(open_door(), STRICT) as port:
        async with connected(port) as (reader, writer):
            writer.write(HEAD)
            assert await read_problem(reader) == (408, "late")
        async with connected(port) as (reader, writer):
            writer.write(LIVE)
            assert await read_response(reader) == (200, b"ok")
            writer.write(b"G")
            assert await read_problem(reader) == (408, "late")


async def test_a_head_in_drops_wins_no_time() -> None:
    """A header line now and then does not keep a connection: the time runs from its beginning."""
    async with listening(open_door(), STRICT) as port, connected(port) as (reader, writer):
        started = time.monotonic()
        writer.write(b"GET /livez HTTP/1.1\r\n")
        answer = asyncio.create_task(read_problem(reader))
        while not answer.done():
            assert time.monotonic() < started + 5, "it is still open"
            writer.write(b"X: y\r\n")
            await asyncio.sleep(0.02)
        assert await answer == (408, "late")


@pytest.mark.slow
async def test_a_head_in_time_may_come_in_pieces() -> None:
    """Slow is not wrong: what ends within the limit is answered, and the body has a limit of its own."""
    limits = ConnectionLimits(head_timeout_ms=1000, keep_alive_ms=300)
    async with listening(open_door(), limits) as port, connected(port) as (reader, writer):
        for piece in (HEAD[:10], HEAD[10:], b"Content-Length: 3\r\n\r\n", b"a"):
            writer.write(piece)
            await asyncio.sleep(0.2)
        await asyncio.sleep(0.5)
        writer.write(b"bc")
        assert (await read_response(reader))[0] == 200


@pytest.mark.parametrize("drop", [b"", b"\r\n"])
@pytest.mark.slow
async def test_an_idle_connection_is_closed(drop: bytes) -> None:
    """After an answer the keep-alive time runs, and blank lines, which HTTP lets pass, do not lengthen it."""
    async with listening(open_door(), STRICT) as port, connected(port) as (reader, writer):
        writer.write(LIVE)
        assert await read_response(reader) == (200, b"ok")
        await asyncio.sleep(0.2)  # longer than a head may take
        writer.write(LIVE)
        assert await read_response(reader) == (200, b"ok")
        started = time.monotonic()
        end = asyncio.create_task(reader.read())
        while not end.done():
            assert time.monotonic() < started + 5, "it is still open"
            writer.write(drop)
            await asyncio.sleep(0.02)
        with contextlib.suppress(ConnectionResetError):  # a drop that crosses the end is answered by one
            assert await end == b""


@pytest.mark.slow
async def test_a_body_after_its_answer_has_the_idle_time() -> None:
    """What is left of a refused body may not come in drops for ever."""
    async with listening(open_door(), STRICT) as port, connected(port) as (reader, writer):
        writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % TOO_LARGE)
        assert (await read_response(reader))[0] == 413
        started = time.monotonic()
        end = asyncio.create_task(reader.read())
        while not end.done():
            assert time.monotonic() < started + 5, "it is still open"
            writer.write(b"x")
            await asyncio.sleep(0.02)
        with contextlib.suppress(ConnectionResetError):
            assert await end == b""


@pytest.mark.parametrize("piece_bytes", [1000, 100_000])
@pytest.mark.parametrize("is_whole", [False, True])
async def test_a_head_has_a_size(piece_bytes: int, is_whole: bool) -> None:
    """One byte more than the limit is a 431, whether it comes in one piece or in many, ended or not."""
    head = b"GET /livez HTTP/1.1\r\nX: ".ljust(HEAD_LIMIT_BYTES + 100, b"x") + (
        b"\r\n\r\n" if is_whole else b"x" * 300_000
    )
    async with listening(open_door()) as port, connected(port) as (reader, writer):
        with contextlib.suppress(ConnectionResetError):
            for start in range(0, len(head), piece_bytes):
                writer.write(head[start : start + piece_bytes])
                await writer.drain()
        assert await read_problem(reader) == (431, "too_large")


async def test_a_head_below_the_size_is_answered() -> None:
    """A large cookie is no attack."""
    async with listening(open_door()) as port, connected(port) as (reader, writer):
        writer.write(LIVE[:-2] + b"X: " + b"x" * (HEAD_LIMIT_BYTES - 100) + b"\r\n\r\n")
        assert await read_response(reader) == (200, b"ok")


async def test_what_is_no_http_is_told() -> None:
    """Other bytes get a problem document too."""
    async with listening(open_door()) as port, connected(port) as (reader, writer):
        writer.write(b"\x16\x03\x01 hello\r\n\r\n")
        assert await read_problem(reader) == (400, "invalid")


async def test_half_a_second_head_does_not_harm_the_first_answer() -> None:
    """A late head behind a request that is being answered is no reason to speak in between: the answer is the last."""
    door = open_door()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.3)
        await door.app(scope, receive, send)

    async with listening(dataclasses.replace(door, app=slow), STRICT) as port, connected(port) as (reader, writer):
        writer.write(LIVE + b"GET /li")
        assert await read_response(reader) == (200, b"ok")
        assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_more_connections_than_allowed() -> None:
    """One more is told so and closed; where one of the others goes, there is room again."""
    limits = dataclasses.replace(STRICT, keep_alive_ms=60_000, max_connections=2)
    async with listening(open_door(), limits) as port, connected(port) as (reader, writer):
        writer.write(LIVE)
        assert (await read_response(reader))[0] == 200
        async with connected(port) as (other, other_writer):
            other_writer.write(LIVE)
            assert (await read_response(other))[0] == 200
            async with connected(port) as (refused, refused_writer):
                status, body = await read_response(refused)
                assert (status, b"2 connections are open already" in body) == (429, True)
                refused_writer.write(LIVE)
                assert await asyncio.wait_for(refused.read(), 5) == b""
        await asyncio.sleep(0.1)
        async with connected(port) as (another, another_writer):
            another_writer.write(LIVE)
            assert (await read_response(another))[0] == 200


async def test_an_answer_that_nobody_reads_does_not_stay() -> None:
    """The kernel ends a connection whose client takes nothing for half a minute; connections inherit that."""
    with bind_http("127.0.0.1", 0, is_shared=False) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
