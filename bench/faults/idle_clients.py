"""Clients that say little or nothing: idle connections over both doors, and slow ones of a byte a second."""

import asyncio
import contextlib
import multiprocessing
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Final

from bench.faults.http2 import ACK, PREFACE, SETTINGS, frame, settings

_BYTE_SECONDS: Final = 1.0
_OPEN_SECONDS: Final = 60.0
_HEAD: Final = b"POST /api/v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\nX-Filler: " + b"x" * 1000
_CONTEXT: Final = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Numbers:
    """Of connections; those that the server closes are made again."""

    idle_http: int
    """One half of them has sent nothing, the other has had an answer."""
    idle_grpc: int
    slow_http: int
    slow_grpc: int

    @property
    def total(self) -> int:
        return self.idle_http + self.idle_grpc + self.slow_http + self.slow_grpc


@dataclass
class _Tally:
    num_missing: int
    """Connections not yet made for the first time."""
    all_made: asyncio.Event = field(default_factory=asyncio.Event)
    ended: Counter[str] = field(default_factory=Counter)

    def made(self) -> None:
        self.num_missing -= 1
        if not self.num_missing:
            self.all_made.set()


@contextlib.contextmanager
def idle_clients(numbers: Numbers, http_address: str, grpc_address: str) -> Iterator[Counter[str]]:
    """All of them open, in a process of their own, until the end; how often each kind was closed by the server."""
    ended: Counter[str] = Counter()
    ours, theirs = _CONTEXT.Pipe()
    process = _CONTEXT.Process(target=_work, args=(numbers, http_address, grpc_address, theirs))
    process.start()
    theirs.close()
    try:
        if not ours.poll(_OPEN_SECONDS):
            raise TimeoutError(f"the server did not take {numbers.total} connections within {_OPEN_SECONDS} s")
        ours.recv()
        yield ended
        ours.send(None)
        ended += ours.recv()
    finally:
        ours.close()  # ends the process, if it has not ended
        process.join()


def _work(numbers: Numbers, http_address: str, grpc_address: str, pipe: Connection) -> None:
    asyncio.run(_hold(numbers, http_address, grpc_address, pipe))


async def _hold(numbers: Numbers, http_address: str, grpc_address: str, pipe: Connection) -> None:
    tally, is_over, loop = _Tally(numbers.total), asyncio.Event(), asyncio.get_running_loop()
    hello = PREFACE + settings() + frame(SETTINGS, ACK, 0)
    asked = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    clients = [
        *(_client("idle, HTTP", http_address, _say(asked if n % 2 else b""), tally) for n in range(numbers.idle_http)),
        *(_client("idle, gRPC", grpc_address, _say(hello), tally) for _ in range(numbers.idle_grpc)),
        *(_client("slow, HTTP", http_address, _drip(_HEAD), tally) for _ in range(numbers.slow_http)),
        *(_client("slow, gRPC", grpc_address, _drip(hello), tally) for _ in range(numbers.slow_grpc)),
    ]
    tasks = [asyncio.create_task(client) for client in clients]
    await tally.all_made.wait()
    pipe.send(None)

    def wait_for_word() -> None:
        with contextlib.suppress(EOFError):
            pipe.recv()
        loop.call_soon_threadsafe(is_over.set)

    threading.Thread(target=wait_for_word, daemon=True).start()
    await is_over.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    with contextlib.suppress(OSError):
        pipe.send(tally.ended)


Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _client(name: str, address: str, speak: Speak, tally: _Tally) -> None:
    """One connection after the other, each until the server ends it."""
    host, _, port = address.rpartition(":")
    is_first = True
    while True:
        reader, writer = await asyncio.open_connection(host, int(port))
        if is_first:
            is_first = False
            tally.made()
        try:
            await speak(reader, writer)
            while await reader.read(65_536):
                pass
        except ConnectionError:
            pass
        finally:
            writer.close()
        tally.ended[name] += 1


def _say(words: bytes) -> Speak:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(words)

    return speak


def _drip(words: bytes) -> Speak:
    """A byte a second, until the server has something to say."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in words:
            writer.write(bytes([byte]))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_BYTE_SECONDS):
                    if not await reader.read(65_536):
                        return

    return speak
