"""Calls over HTTP beside servers that answer well, in pieces, badly, or not at all."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from cnnsvc.classification import Timings
from cnnsvc.load.call import NO_ANSWER, Answer, Failure, Query
from cnnsvc.load.http_caller import HttpCaller, http_requests
from cnnsvc.load.http_connection import BrokenAnswerError, Connection
from cnnsvc.load.target import Target
from tests.cnnsvc.load.http_script import BODY, CLOSE, HttpScript, http_script, response

_ANSWER = Answer("flowers", 1, Timings(0.5, 0.25, 2.0, 3.0))


@contextlib.asynccontextmanager
async def _caller(target: Target, timeout_ms: int = 5000) -> AsyncIterator[HttpCaller]:
    query = Query([b"image one", b"image two"], timeout_ms=timeout_ms)
    caller = HttpCaller(target, http_requests(target, query), timeout_ms)
    try:
        yield caller
    finally:
        await caller.close()
        await asyncio.sleep(0.01)  # until the server has seen it


def test_requests_are_whole() -> None:
    """Parameters that were given are in the query string, encoded; the rest is left to the server."""
    target = Target("http", "h", 1, "h:1")
    (plain,) = http_requests(target, Query([b"abc"]))
    assert plain.startswith(b"POST /api/v1/classify HTTP/1.1\r\nHost: h:1\r\n")
    assert plain.endswith(b"\r\nContent-Length: 3\r\n\r\nabc")
    (full,) = http_requests(target, Query([b"abc"], model="a&b", version=2, top_k=3))
    assert full.startswith(b"POST /api/v1/classify?model=a%26b&version=2&top_k=3 HTTP/1.1\r\n")


async def test_answers_in_pieces_over_one_connection() -> None:
    """Wherever a response is cut, chunked ones too, it is one answer, and the connection is kept."""
    whole = response()
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    chunks = [b"%x\r\n" % 10, BODY[:10] + b"\r\n", b"%x\r\n%b\r\n0\r" % (len(BODY) - 10, BODY[10:]), b"\n\r\n"]
    cuts = [[whole[:cut], whole[cut:]] for cut in (1, 12, 17, len(whole) - len(BODY), len(whole) - 1)]
    async with http_script([whole], *cuts, [chunked, *chunks]) as script, _caller(script.target) as caller:
        answers = [await caller.ask(index % 2) for index in range(7)]
    assert answers == [_ANSWER] * 7
    assert [number for number, _ in script.requests] == [1] * 7
    assert [request[-9:] for _, request in script.requests[:2]] == [b"image one", b"image two"]


async def _after_close(script: HttpScript, caller: HttpCaller) -> None:
    assert await caller.ask(0) == _ANSWER
    await asyncio.sleep(0.02)
    assert await caller.ask(0) == _ANSWER
    assert [number for number, _ in script.requests] == [1, 2]


@pytest.mark.parametrize(
    "first",
    [
        [response(), CLOSE],
        [response(headers="connection: close\r\n")],
        [response(), response("408 Request Timeout"), CLOSE],
    ],
    ids=["silently", "announced", "with a parting word"],
)
async def test_a_connection_closed_between_requests_is_made_anew(first: list[bytes]) -> None:
    """However a server ends an idle connection, the next request has a new one and does not fail."""
    async with http_script(first, [response()]) as script, _caller(script.target) as caller:
        await _after_close(script, caller)


async def test_a_connection_closed_under_a_request_is_tried_once_more() -> None:
    """A server may close an idle connection just when it is used; one that closes a new one has failed."""
    async with http_script([response()], [CLOSE], [response()], [CLOSE], [CLOSE]) as script:
        async with _caller(script.target) as caller:
            assert [await caller.ask(0) for _ in range(2)] == [_ANSWER, _ANSWER]
            failure = await caller.ask(0)
        assert [number for number, _ in script.requests] == [1, 1, 2, 2, 3]
    assert isinstance(failure, Failure)
    assert (failure.status, failure.kind) == (NO_ANSWER, "not_ready")
    assert "closed the connection without an answer" in failure.message


async def test_error_statuses_keep_the_connection_and_their_words() -> None:
    """Kind and detail of our problem documents; of other programs, what they said."""
    problem = b'{"title":"Too Many Requests","status":429,"kind":"overloaded","detail":"512 images wait"}'
    answers = [
        [response("429 Too Many Requests", problem)],
        [response("502 Bad Gateway", b"<h1>Bad \xff gateway</h1>")],
        [response("204 No Content", b"")],
        [response(body=b'{"model":"flowers"}')],
        [response()],
    ]
    async with http_script(*answers) as script, _caller(script.target) as caller:
        outcomes = [await caller.ask(0) for _ in answers]
    assert outcomes == [
        Failure("429", "overloaded", "512 images wait"),
        Failure("502", "", "<h1>Bad � gateway</h1>"),
        Failure("204", "", "no words"),
        Failure("200", "", 'the answer is not that of cnnsvc: {"model":"flowers"}'),
        _ANSWER,
    ]
    assert script.num_connections == 1


async def test_what_comes_before_the_response_is_passed_over() -> None:
    """100 Continue is no answer."""
    answer = [b"HTTP/1.1 100 Continue\r\n\r\n", response()]
    async with http_script(answer) as script, _caller(script.target) as caller:
        assert await caller.ask(0) == _ANSWER


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ([b"SSH-2.0-other\r\n"], "does not answer in HTTP"),
        ([response()[:-5], CLOSE], "broke off"),
    ],
)
async def test_broken_answers_are_failures(answer: list[bytes], words: str) -> None:
    """Neither another protocol nor half a response is an answer, and the next request has a new connection."""
    async with http_script(answer, [response()]) as script, _caller(script.target) as caller:
        failure = await caller.ask(0)
        assert await caller.ask(0) == _ANSWER
    assert isinstance(failure, Failure)
    assert failure.status == NO_ANSWER
    assert words in failure.message


async def test_a_server_that_speaks_first() -> None:
    """Is none of HTTP, whether its words come before the request or after: a gRPC server begins that way."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\0\0\x1e\4\0")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
        await asyncio.sleep(0.02)
        with pytest.raises(BrokenAnswerError, match="before it is asked"):
            await connection[1].exchange(b"request")
        async with _caller(Target("http", "127.0.0.1", port, "h:1")) as caller:
            failure = await caller.ask(0)
    assert isinstance(failure, Failure)
    assert "h:1 does not answer in HTTP" in failure.message


async def test_a_late_answer_is_a_failure_and_its_own() -> None:
    """The connection of a request that timed out is given up, so that its answer is not taken for the next one's."""
    async with http_script([], [response()]) as script, _caller(script.target, timeout_ms=50) as caller:
        assert await caller.ask(0) == Failure(NO_ANSWER, "late", f"{script.target.address} gave no answer within 50 ms")
        assert await caller.ask(0) == _ANSWER
    assert script.num_connections == 2


async def test_nobody_there() -> None:
    """Where nothing listens, that is the failure."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    async with _caller(Target("http", "127.0.0.1", port, f"127.0.0.1:{port}")) as caller:
        failure = await caller.ask(0)
    assert isinstance(failure, Failure)
    assert (failure.status, failure.kind) == (NO_ANSWER, "not_ready")
    assert "Connect" in failure.message
