"""Calls over gRPC beside a server that answers as a test tells it."""

import asyncio
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from cnnsvc.load.call import NO_ANSWER, Answer, Failure, Query
from cnnsvc.load.grpc_caller import GrpcCaller, StreamCaller
from cnnsvc.pb import classifier_pb2 as pb
from tests.cnnsvc.scripted_server import RESULT, Requests, ScriptedServer, scripted


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted() as server:
        yield server


async def test_a_failed_call_is_one_failure(server: ScriptedServer) -> None:
    """By its status and kind, without being tried again, which would hide it."""

    def fail_second(num_calls: int, context: Any) -> None:
        if num_calls == 2:
            context.abort(grpc.StatusCode.UNAVAILABLE, "stopping")

    server.before = fail_second
    caller = GrpcCaller(server.address, Query([b"image"]))
    try:
        outcomes = [await caller.ask(0) for _ in range(3)]
    finally:
        await caller.close()
    assert [isinstance(outcome, Answer) for outcome in outcomes] == [True, False, True]
    failure = outcomes[1]
    assert isinstance(failure, Failure)
    assert (failure.status, failure.kind) == ("UNAVAILABLE", "not_ready")
    assert server.num_calls == 3


async def test_answers_of_a_stream_go_to_those_who_asked(server: ScriptedServer) -> None:
    """In whatever order they come, over one stream; an image that failed is one failure and not the end."""

    def answer_backwards(requests: Requests, context: Any) -> Iterator[pb.ClassifyStreamResponse]:
        first, second = next(requests), next(requests)
        error = pb.StreamError(kind="invalid", message=f"not an image: {second.image.decode()}")
        yield pb.ClassifyStreamResponse(id=second.id, error=error)
        yield pb.ClassifyStreamResponse(id=first.id, result=RESULT)
        for request in requests:
            yield pb.ClassifyStreamResponse(id=request.id, result=RESULT)

    server.stream = answer_backwards
    caller = StreamCaller(server.address, Query([b"one", b"two"]))
    try:
        outcomes = await asyncio.gather(caller.ask(0), caller.ask(1))
        assert isinstance(await caller.ask(0), Answer)
    finally:
        await caller.close()
    assert isinstance(outcomes[0], Answer)
    assert outcomes[1] == Failure("in the stream", "invalid", "not an image: two")
    assert server.num_calls == 1


async def test_after_a_stream_that_ended_comes_another(server: ScriptedServer) -> None:
    """What waited on the stream fails with its end; the next image opens a new one."""

    def answer_one(requests: Requests, context: Any) -> Iterator[pb.ClassifyStreamResponse]:
        yield pb.ClassifyStreamResponse(id=next(requests).id, result=RESULT)
        next(requests)
        context.abort(grpc.StatusCode.UNAVAILABLE, "stopping")

    server.stream = answer_one
    caller = StreamCaller(server.address, Query([b"image"]))
    try:
        outcomes = [await caller.ask(0) for _ in range(3)]
    finally:
        await caller.close()
    assert [type(outcome) for outcome in outcomes] == [Answer, Failure, Answer]
    assert isinstance(outcomes[1], Failure)
    assert (outcomes[1].status, outcomes[1].kind) == ("UNAVAILABLE", "not_ready")
    assert server.num_calls == 2


async def test_an_image_without_an_answer_is_given_up(server: ScriptedServer) -> None:
    """After the time for one answer; the stream goes on."""

    def forget_first(requests: Requests, context: Any) -> Iterator[pb.ClassifyStreamResponse]:
        next(requests)
        for request in requests:
            yield pb.ClassifyStreamResponse(id=request.id, result=RESULT)

    server.stream = forget_first
    caller = StreamCaller(server.address, Query([b"image"], timeout_ms=500))
    try:
        assert await caller.ask(0) == Failure(NO_ANSWER, "late", f"{server.address} gave no answer within 500 ms")
        assert isinstance(await caller.ask(0), Answer)
    finally:
        await caller.close()
    assert server.num_calls == 1
