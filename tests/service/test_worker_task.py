"""What goes between a supervisor and its workers arrives as it was."""

import asyncio
import dataclasses
import socket
from pathlib import Path

import msgspec
import pytest

from cnnsvc.errors import BundleError, CnnsvcError, Kind
from service.settings import ServeSettings
from service.worker_task import (
    Failed,
    Message,
    Serving,
    SupervisorChannel,
    WorkerTask,
    decode_message,
    decode_task,
    encode_task,
    error_of,
)

SETTINGS = ServeSettings(models_dir=Path("models ü/x"), workers=3, state_dir=Path("/s"), artifact="a b.onnx")


def test_a_task_arrives_as_it_was() -> None:
    """Settings of every type survive a command line."""
    task = WorkerTask(2, True, 7, Path("/tmp/x y"), SETTINGS)
    assert decode_task(encode_task(task)) == task
    assert {type(value) for value in dataclasses.asdict(SETTINGS).values()} >= {int, str, type(None), type(Path())}


@pytest.mark.parametrize("message", [Serving(), Failed(Kind.INTERNAL, "damaged\nü")])
def test_a_message_arrives_as_it_was(message: Message) -> None:
    """It is one line, whatever the words in it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = SupervisorChannel(theirs.detach())
        channel.tell(message)
        channel.close()
        with ours.makefile("rb") as lines:
            assert decode_message(lines.readline()) == message


@pytest.mark.parametrize("kind", Kind)
def test_an_error_keeps_its_kind(kind: Kind) -> None:
    """So the service ends with the exit status that its worker would have had."""
    error = error_of(Failed(kind, "words"))
    assert (error.kind, str(error)) == (kind, "words")
    assert isinstance(error, CnnsvcError)


def test_a_bundle_error_is_internal() -> None:
    """The kinds that several classes share lose nothing that an exit status shows."""
    assert error_of(Failed(BundleError.kind, "words")).kind is Kind.INTERNAL


async def test_a_supervisor_that_is_gone_is_noticed() -> None:
    """The stop comes when its side is closed, and telling it something is no error any more."""
    ours, theirs = socket.socketpair()
    channel = SupervisorChannel(theirs.detach())
    stop = asyncio.Event()
    channel.on_end(stop.set)
    await asyncio.sleep(0.01)
    assert not stop.is_set()
    ours.close()
    async with asyncio.timeout(5):
        await stop.wait()
    channel.tell(Serving())
    channel.close()


def test_what_is_no_message_is_refused() -> None:
    """Workers of another version are not guessed at."""
    with pytest.raises(msgspec.ValidationError):
        decode_message(b'{"type": "Other"}\n')
