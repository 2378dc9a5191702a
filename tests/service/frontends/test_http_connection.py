"""What only a real connection shows: bodies that are cut short, too long or slow, and clients that go away."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.fakes import FakePredictor
from tests.service.frontends.http_door import BODY_LIMIT_BYTES, listening, open_door, until

HEAD = b"POST /api/v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
LIVE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
TOO_LARGE = BODY_LIMIT_BYTES * 5


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
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
