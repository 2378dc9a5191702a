"""Callers that go on until they are refused, in a process of their own; writes one line of JSON for bench.shutdown.

    python -m bench.shutdown_load http|grpc ADDRESS

A request is accepted once its connection is made: from then on only an answer, or over gRPC a stream's word to send an
image again, is no loss. Nothing is tried again.
"""

import asyncio
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import grpc

from cnnsvc.pb import classifier_pb2 as pb
from tests.encoded import encode

NUM_BUSY: Final = 24
"""HTTP connections that are used again at once."""
NUM_THINKING: Final = 24
"""HTTP connections that are used again after a while."""
NUM_BRIEF: Final = 4
"""Callers over HTTP that make a connection for each request."""
NUM_CHANNELS: Final = 4
NUM_CALLS_A_CHANNEL: Final = 8
STREAM_WINDOW: Final = 16
_MOST_THINKING_SECONDS: Final = 0.4
_GIVE_UP_SECONDS: Final = 60.0
_SERVICE: Final = "/cnnsvc.v1.Classifier/"
IMAGE: Final = encode("JPEG")


@dataclass
class Tally:
    """What came of the requests; times are of the monotonic clock, which all processes share."""

    answered_at: list[float] = field(default_factory=list)
    streamed_at: list[float] = field(default_factory=list)
    num_refused: int = 0
    """Connections that could not be made: the end of a caller."""
    num_told: int = 0
    """Images of a stream that ended with the word to send them again."""
    lost: Counter[str] = field(default_factory=Counter)

    def lose(self, what: str, why: object, number: int = 1) -> None:
        self.lost[f"{what}: {why}"] += number


async def load_http(address: str, tally: Tally) -> None:
    host, _, port = address.rpartition(":")
    busy = [_http_caller(host, int(port), tally, most_thinking_seconds=0.0) for _ in range(NUM_BUSY)]
    thinking = [
        _http_caller(host, int(port), tally, most_thinking_seconds=_MOST_THINKING_SECONDS) for _ in range(NUM_THINKING)
    ]
    brief = [_http_caller(host, int(port), tally, is_brief=True) for _ in range(NUM_BRIEF)]
    await asyncio.gather(*busy, *thinking, *brief)


async def load_grpc(address: str, tally: Tally) -> None:
    stream = asyncio.to_thread(_stream_caller, address, tally)
    await asyncio.gather(stream, *(_channel(address, tally) for _ in range(NUM_CHANNELS)))


async def _http_caller(
    host: str, port: int, tally: Tally, *, most_thinking_seconds: float = 0.0, is_brief: bool = False
) -> None:
    head = f"POST /api/v1/classify HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(IMAGE)}\r\n\r\n".encode()
    while True:
        try:
            reader, writer = await asyncio.open_connection(host, port)
        except OSError:
            tally.num_refused += 1
            return
        try:
            is_open = True
            while is_open:
                if most_thinking_seconds:
                    await asyncio.sleep(random.uniform(0, most_thinking_seconds))
                if reader.at_eof():  # closed while it was idle, and seen before anything was sent
                    break
                writer.write(head + IMAGE)
                status, is_open = await _read_answer(reader)
                if status == 200:
                    tally.answered_at.append(time.monotonic())
                else:
                    tally.lose("HTTP", f"status {status}")
                is_open = is_open and not is_brief
        except (OSError, EOFError) as error:
            tally.lose("HTTP", type(error).__name__)
        finally:
            writer.transport.abort()


async def _read_answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """Its status, and whether the connection may be used again."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head.split(b" ", 2)[1]), b"\r\nconnection: close\r\n" not in head


async def _channel(address: str, tally: Tally) -> None:
    # Without a pool of its own each channel would share one connection with the others.
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        await asyncio.gather(*(_unary_caller(channel, tally) for _ in range(NUM_CALLS_A_CHANNEL)))


async def _unary_caller(channel: grpc.aio.Channel, tally: Tally) -> None:
    call: Any = channel.unary_unary(_SERVICE + "Classify")
    request = pb.ClassifyRequest(images=[IMAGE]).SerializeToString()
    while True:
        try:
            await call(request)
        except grpc.aio.AioRpcError as error:
            if _is_refused(error):
                tally.num_refused += 1
                return
            tally.lose("gRPC", f"{error.code().name} {error.details()}")
        else:
            tally.answered_at.append(time.monotonic())


def _stream_caller(address: str, tally: Tally) -> None:
    """In a thread, since grpc.aio answers a write that meets the end of its stream with an error of its own."""
    with grpc.insecure_channel(address) as channel:
        begin: Any = channel.stream_stream(_SERVICE + "ClassifyStream")
        while True:
            images = _Images()
            try:
                for _ in begin(iter(images)):
                    images.answered()
                    tally.streamed_at.append(time.monotonic())
            except grpc.RpcError as error:
                if _is_refused(error):
                    tally.num_refused += 1
                    return
                if error.code() is grpc.StatusCode.UNAVAILABLE and "again" in (error.details() or ""):
                    tally.num_told += images.num_unanswered
                else:
                    tally.lose("stream", f"{error.code().name} {error.details()}", images.num_unanswered)
            finally:
                images.end()


class _Images:
    """Requests of a stream, as many as its window lets be unanswered."""

    def __init__(self) -> None:
        self.num_unanswered = 0
        self._room = threading.Semaphore(STREAM_WINDOW)
        self._is_over = False

    def __iter__(self) -> Iterator[bytes]:
        while self._room.acquire() and not self._is_over:
            self.num_unanswered += 1
            yield pb.ClassifyStreamRequest(id="image", image=IMAGE).SerializeToString()

    def answered(self) -> None:
        self.num_unanswered -= 1
        self._room.release()

    def end(self) -> None:
        self._is_over = True
        self._room.release()


def _is_refused(error: Any) -> bool:
    """No connection could be made for it, so that nobody has seen it."""
    return error.code() is grpc.StatusCode.UNAVAILABLE and "failed to connect" in (error.details() or "")


async def _run(load: Callable[[str, Tally], Awaitable[None]], address: str) -> Tally:
    tally = Tally()
    try:
        async with asyncio.timeout(_GIVE_UP_SECONDS):
            await load(address, tally)
    except TimeoutError:
        tally.lose("load", f"a caller waited {_GIVE_UP_SECONDS:.0f} s")
    return tally


if __name__ == "__main__":
    which, where = sys.argv[1:]
    print(json.dumps(vars(asyncio.run(_run({"http": load_http, "grpc": load_grpc}[which], where)))))
