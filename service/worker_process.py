"""One worker as its supervisor sees it: started, listened to, told to end, ended."""

import asyncio
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from service.settings import ServeSettings
from service.worker_task import Failed, Serving, WorkerTask, decode_message, encode_task

# -P: the current folder is none of a worker's business, whatever modules lie there.
_COMMAND: Final = (sys.executable, "-P", "-m", "service.worker")


@dataclass(frozen=True)
class Life:
    """What a worker's life was, once it is over."""

    seconds: float
    failed: Failed | None
    """Why it could not serve, in its own words."""
    has_served: bool
    status: int
    """As subprocess has it: minus the number of the signal that ended it."""

    def __str__(self) -> str:
        if self.failed:
            return self.failed.message
        return f"status {self.status}" if self.status >= 0 else signal.Signals(-self.status).name


class WorkerProcess:
    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._started = time.monotonic()

    @classmethod
    async def start(
        cls, index: int, settings: ServeSettings, state_dir: Path, *, is_replacement: bool
    ) -> "WorkerProcess":
        """A program of its own, since a fork of a process with threads or gRPC in it may hang. Raises OSError."""
        ours, theirs = socket.socketpair()
        with theirs:
            task = WorkerTask(index, is_replacement, theirs.fileno(), state_dir, settings)
            process = await asyncio.create_subprocess_exec(
                *_COMMAND,
                encode_task(task),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                # Ctrl-C goes to every process of the terminal's group; workers hear of it from their supervisor.
                start_new_session=True,
            )
        return cls(process, *await asyncio.open_connection(sock=ours))

    async def until_end(self, on_serving: Callable[[float], None]) -> Life:
        """Calls `on_serving` with the seconds that the start took."""
        failed, has_served = None, False
        # A line without its end is of a worker that was killed.
        while (line := await self._reader.readline()).endswith(b"\n"):
            message = decode_message(line)
            if isinstance(message, Serving):
                has_served = True
                on_serving(time.monotonic() - self._started)
            else:
                failed = message
        status = await self._process.wait()
        self._writer.close()
        return Life(time.monotonic() - self._started, failed, has_served, status)

    def stop(self) -> None:
        """It answers what it has taken in, and ends."""
        if self._writer.can_write_eof():
            self._writer.write_eof()

    def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
