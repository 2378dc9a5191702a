"""Keeps a number of images unanswered on one ClassifyStream for some seconds; writes one line of JSON for bench.load.

    python -m bench.stream_client PORT CONCURRENCY SECONDS FILE...

Messages are packed beforehand and answers are only looked at, since the client shares the server's cores.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any, Final

import grpc

from bench.load import percentiles
from cnnsvc.pb import classifier_pb2 as pb

_METHOD: Final = "/cnnsvc.v1.Classifier/ClassifyStream"
_RESULT_TAG: Final = 0x12
"""Field 2 of ClassifyStreamResponse; an error is field 3."""


def main() -> None:
    port, concurrency, seconds, *files = sys.argv[1:]
    images = [Path(file).read_bytes() for file in files]
    print(json.dumps(asyncio.run(_load(int(port), int(concurrency), float(seconds), images))))


async def _load(port: int, concurrency: int, seconds: float, images: list[bytes]) -> dict[str, float]:
    messages = [_tail(image) for image in images]
    sent: dict[bytes, float] = {}
    durations_ms = []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: Any = channel.stream_stream(_METHOD)()
        started = time.monotonic()
        num_sent = 0
        while num_sent < concurrency:
            await _send(call, messages, num_sent, sent)
            num_sent += 1
        while sent:
            answer = await call.read()
            now = time.monotonic()
            key = answer[2 : 2 + answer[1]]  # the id is the first field, and short
            assert answer[2 + answer[1]] == _RESULT_TAG, pb.ClassifyStreamResponse.FromString(answer)
            durations_ms.append((now - sent.pop(key)) * 1e3)
            if now - started < seconds:
                await _send(call, messages, num_sent, sent)
                num_sent += 1
        await call.done_writing()
        lasted = time.monotonic() - started
    p50, p99 = percentiles(durations_ms)
    return {"num_images": len(durations_ms), "seconds": lasted, "p50_ms": p50, "p99_ms": p99}


async def _send(call: Any, messages: list[bytes], number: int, sent: dict[bytes, float]) -> None:
    key = b"%d" % number
    sent[key] = time.monotonic()
    await call.write(b"\x0a%c" % len(key) + key + messages[number % len(messages)])


def _tail(image: bytes) -> bytes:
    """The message but for its id."""
    return pb.ClassifyStreamRequest(image=image).SerializeToString()


if __name__ == "__main__":
    main()
