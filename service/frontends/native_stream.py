"""One call of two streams: reads while few images are unanswered, answers each as it is ready, ends in order."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import grpc
from google.protobuf.message import Message

from cnnsvc.errors import NotReadyError
from service.frontends.grpc_boundary import Context, parse

Request = TypeVar("Request", bound=Message)


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """What one stream may have read and not answered; past either the next message stays unread."""

    num_images: int
    num_bytes: int
    """One message more than this may be held, since a message's size is known only when it is read."""


class ImageStream(Generic[Request]):
    """An image is unanswered until its answer is written: a client that reads no answers is not read either."""

    def __init__(
        self,
        kind: type[Request],
        context: Context,
        answer: Callable[[Request], Awaitable[Message]],
        limits: StreamLimits,
        stopping: asyncio.Event,
        *,
        is_ordered: bool = False,
    ) -> None:
        """`answer` must not raise; `stopping` is set when the server stops.

        Where it is ordered, an answer waits until those to all requests before it are written.
        """
        self._kind = kind
        self._is_ordered = is_ordered
        self._last: asyncio.Task[None] | None = None
        self._context = context
        self._answer = answer
        self._limits = limits
        self._stopping = stopping
        self._answering: set[asyncio.Task[None]] = set()
        self._num_unanswered_bytes = 0
        self._room = asyncio.Event()
        self._writing = asyncio.Lock()
        self._is_ending = False
        self._has_read_all = False

    async def serve(self) -> None:
        """Ends when the client has ended its side and every image is answered.

        Raises NotReadyError once the images that were read are answered, where the server stops before that, and
        InvalidError likewise after bytes that are no message.
        """
        # The reader is left to end by itself and never cancelled: gRPC's core writes into the memory of a pending read.
        reader = asyncio.create_task(self._read())
        reader.add_done_callback(_forget)
        stop = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((reader, stop), return_when=asyncio.FIRST_COMPLETED)
            self._is_ending = True
            while self._answering:
                await asyncio.wait(self._answering)
        finally:
            self._is_ending = True
            stop.cancel()
            for task in self._answering:
                task.cancel()
        if reader.done():
            reader.result()
        if not self._has_read_all:
            raise NotReadyError("the server is stopping; send the images without an answer again")

    async def _read(self) -> None:
        while await self._has_room():
            request_bytes = await self._context.read()
            if request_bytes is grpc.aio.EOF:
                self._has_read_all = True
                return
            if self._is_ending:
                return
            assert isinstance(request_bytes, bytes)
            request = parse(self._kind, request_bytes)
            self._num_unanswered_bytes += request.ByteSize()
            task = asyncio.create_task(self._answer_one(request, self._last))
            self._last = task if self._is_ordered else None
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    async def _has_room(self) -> bool:
        """Waits for room; False once the stream ends."""
        limits = self._limits
        while not self._is_ending and (
            len(self._answering) >= limits.num_images or self._num_unanswered_bytes >= limits.num_bytes
        ):
            self._room.clear()
            await self._room.wait()
        return not self._is_ending

    async def _answer_one(self, request: Request, before: asyncio.Task[None] | None) -> None:
        try:
            response = await self._answer(request)
            if before:
                await asyncio.wait((before,))
            async with self._writing:  # gRPC takes one write at a time
                await self._context.write(response)
        except grpc.aio.BaseError:
            self._is_ending = True  # nobody is left to write to; gRPC cancels the call
        finally:
            self._num_unanswered_bytes -= request.ByteSize()
            self._room.set()


def _forget(reader: asyncio.Task[None]) -> None:
    """A read fails when its call is over: nobody needs to hear of that."""
    if not reader.cancelled():
        reader.exception()
