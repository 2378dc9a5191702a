"""What a worker is told when it starts, what it tells its supervisor, and how it learns that it shall end.

Both share one pair of sockets: the worker writes a JSON object a line, the supervisor writes nothing. When its side is
closed, by intent or because it was killed, the worker drains and ends.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from cnnsvc.errors import CnnsvcError, Kind
from service.settings import ServeSettings


@dataclass(frozen=True)
class WorkerTask:
    index: int
    """0 to workers - 1; a worker that is started again keeps it."""
    is_replacement: bool
    channel: int
    """File descriptor of the worker's side."""
    state_dir: Path
    settings: ServeSettings
    """With the real ports."""


class Serving(msgspec.Struct, frozen=True, tag=True):
    """Both doors are open and models are loaded."""


class Failed(msgspec.Struct, frozen=True, tag=True):
    """It cannot serve, and ends."""

    kind: Kind
    message: str


Message = Serving | Failed


def encode_task(task: WorkerTask) -> str:
    """As the one argument of a worker's command line."""
    return msgspec.json.encode(task, enc_hook=str).decode()


def decode_task(argument: str) -> WorkerTask:
    return msgspec.json.decode(argument, type=WorkerTask, dec_hook=_path)


def decode_message(line: bytes) -> Message:
    message: Message = msgspec.json.decode(line, type=Message)
    return message


def error_of(failed: Failed) -> CnnsvcError:
    """What the worker raised; of the classes of one kind the one that stands for all."""
    return next(one for one in CnnsvcError.__subclasses__() if one.kind is failed.kind)(failed.message)


class SupervisorChannel:
    """The worker's side."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)

    def close(self) -> None:
        self._socket.close()

    def tell(self, message: Message) -> None:
        with contextlib.suppress(OSError):  # the supervisor is gone
            self._socket.sendall(msgspec.json.encode(message) + b"\n")

    def on_end(self, stop: Callable[[], None]) -> None:
        """Calls `stop` on the running loop when the supervisor has closed its side."""
        loop = asyncio.get_running_loop()

        def ended() -> None:
            loop.remove_reader(self._socket)
            stop()

        loop.add_reader(self._socket, ended)


def _path(kind: type[Any], value: Any) -> Any:
    """The settings' only type that JSON has not."""
    assert kind is Path, f"{kind} needs a rule of its own"
    return Path(value)
