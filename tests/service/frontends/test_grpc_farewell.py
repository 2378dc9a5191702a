"""The notice that sends gRPC clients elsewhere: what has begun goes on, what comes next uses another connection."""

import asyncio
import contextlib
import socket
from typing import Any

import grpc
import pytest

from cnnsvc.pb import classifier_pb2 as pb
from service.frontends.grpc_farewell import send_away
from service.listeners import sockets_on
from tests.fakes import FakePredictor
from tests.service.frontends.http_door import until
from tests.service.frontends.test_native_grpc import Door, opened


def _peers(door: Door) -> set[tuple[str, int]]:
    """The clients of the open connections."""
    found = set()
    with sockets_on(door.port) as (_, connections):
        for connection in connections:
            with contextlib.suppress(OSError):  # it is just closing
                found.add(connection.getpeername())
    return found


def _send_away(door: Door) -> int:
    """How many were told."""
    with sockets_on(door.port) as (_, connections):
        return len(send_away(connections))


async def test_a_client_that_is_told_connects_anew() -> None:
    """It leaves the connection, and its next call is answered on another one."""
    async with opened(Door(FakePredictor())) as door:
        await door.stub.ListModels(pb.ListModelsRequest())
        before = _peers(door)
        assert _send_away(door) == len(before) == 1
        await until(lambda: not _peers(door))
        await door.stub.ListModels(pb.ListModelsRequest())
        assert _peers(door).isdisjoint(before)


async def test_what_has_begun_goes_on() -> None:
    """A call that came before the notice is answered, and so is one that was cut short, with the reason."""
    predictor = FakePredictor(is_stuck=True)
    async with opened(Door(predictor)) as door:
        call = door.stub.Classify(pb.ClassifyRequest(images=[b"image"]))
        await asyncio.wait_for(predictor.is_asked.wait(), 5)
        assert _send_away(door) == 1
        await asyncio.sleep(0.2)
        assert not call.done()
        door.calls.cut_short()
        assert await call.code() is grpc.StatusCode.UNAVAILABLE
        assert "the server is stopping" in (await call.details() or "")
        assert dict(await call.trailing_metadata())["cnnsvc-error-kind"] == "not_ready"
        await asyncio.wait_for(door.calls.until_idle(), 5)


@pytest.mark.slow
async def test_busy_clients_lose_no_call() -> None:
    """Callers that call without a pause, without a policy of retries, notice no notice, however many there are."""
    async with opened(Door(FakePredictor())) as door:
        num_answered = 0

        async def call_on() -> None:
            nonlocal num_answered
            # What a notice keeps from being sent at all gRPC sends elsewhere by itself, unless that is switched off.
            options = [("grpc.use_local_subchannel_pool", 1)]
            async with grpc.aio.insecure_channel(f"127.0.0.1:{door.port}", options=options) as channel:
                call: Any = channel.unary_unary("/cnnsvc.v1.Classifier/ListModels")
                while True:
                    await call(b"")
                    num_answered += 1

        callers = [asyncio.create_task(call_on()) for _ in range(4)]
        await until(lambda: num_answered > 20)
        for _ in range(20):
            _send_away(door)
            await asyncio.sleep(0.05)
        assert not any(caller.done() for caller in callers)
        for caller in callers:
            caller.cancel()
        await asyncio.wait(callers)


def test_a_full_connection_is_left_alone() -> None:
    """Where gRPC may be in the middle of a frame nothing is written, until there is room again."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                ours.send(bytes(65536))
        assert send_away([ours]) == []
        with contextlib.suppress(BlockingIOError):
            while theirs.recv(65536, socket.MSG_DONTWAIT):
                pass
        assert send_away([ours]) == [ours]
        assert len(theirs.recv(100)) == 17
