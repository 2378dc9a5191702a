"""Calls over gRPC: Classify, one call an image, or ClassifyStream, every image over one stream."""

import asyncio
from typing import Any, Final

import grpc

from cnnsvc.classification import Timings
from cnnsvc.client_channel import CHANNEL_OPTIONS, error_of_call
from cnnsvc.errors import Kind
from cnnsvc.load.call import NO_ANSWER, Answer, Failure, Outcome, Query
from cnnsvc.pb import classifier_pb2 as pb
from cnnsvc.pb import classifier_pb2_grpc as pb_grpc

# A call tried again would hide its failure in a latency.
_OPTIONS: Final = [*CHANNEL_OPTIONS, ("grpc.enable_retries", 0)]


class GrpcCaller:
    """Any number of tasks share it, as the threads of a client share a channel."""

    def __init__(self, address: str, query: Query) -> None:
        self._address = address
        self._timeout_seconds = query.timeout_ms / 1000
        self._channel = query.identity.channel(grpc.aio, address, _OPTIONS)
        self._metadata = query.identity.metadata
        self._classify: Any = pb_grpc.ClassifierStub(self._channel).Classify
        self._requests = [
            pb.ClassifyRequest(images=[image], model=query.model, version=query.version, top_k=query.top_k)
            for image in query.images
        ]

    async def ask(self, place: int) -> Outcome:
        try:
            response = await self._classify(
                self._requests[place], timeout=self._timeout_seconds, metadata=self._metadata
            )
        except grpc.aio.AioRpcError as error:
            return _failure(self._address, error)
        return Answer(response.model, response.version, _timings(response.timings))

    async def close(self) -> None:
        await self._channel.close()


class StreamCaller:
    """Any number of tasks share one stream, each with one image under way; after a stream that ended comes another."""

    def __init__(self, address: str, query: Query) -> None:
        self._address = address
        self._query = query
        self._channel = query.identity.channel(grpc.aio, address, _OPTIONS)
        self._start: Any = pb_grpc.ClassifierStub(self._channel).ClassifyStream
        self._stream: _Stream | None = None

    async def ask(self, place: int) -> Outcome:
        if self._stream is None or self._stream.is_over:
            self._stream = _Stream(self._address, self._start(metadata=self._query.identity.metadata))
        query = self._query
        message = pb.ClassifyStreamRequest(
            image=query.images[place],
            model=query.model,
            version=query.version,
            top_k=query.top_k,
            timeout_ms=query.timeout_ms,
        )
        try:
            async with asyncio.timeout(query.timeout_ms / 1000):
                return await self._stream.ask(message)
        except TimeoutError:
            return Failure(NO_ANSWER, Kind.LATE, f"{self._address} gave no answer within {query.timeout_ms} ms")

    async def close(self) -> None:
        if self._stream is not None:
            await self._stream.close()
        await self._channel.close()


class _Stream:
    """One call of ClassifyStream; a task hands its answers to those who wait for them."""

    def __init__(self, address: str, call: Any) -> None:
        self._address = address
        self._call = call
        self._num_asked = 0
        self._waiters: dict[str, asyncio.Future[Outcome]] = {}
        self._writing = asyncio.Lock()  # gRPC takes one message at a time
        self._receiver = asyncio.create_task(self._receive())
        self.is_over = False

    async def ask(self, message: pb.ClassifyStreamRequest) -> Outcome:
        self._num_asked += 1
        message.id = str(self._num_asked)
        waiter: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiters[message.id] = waiter
        try:
            await self._write(message)
            return await waiter
        finally:
            self._waiters.pop(message.id, None)

    async def close(self) -> None:
        self._call.cancel()  # ends the receiver, which is not to be cancelled: gRPC's core may be writing to its memory
        await self._receiver

    async def _write(self, message: pb.ClassifyStreamRequest) -> None:
        try:
            async with self._writing:
                await self._call.write(message)
        except (grpc.RpcError, asyncio.InvalidStateError):
            await asyncio.wait([self._receiver])  # which tells every waiter why

    async def _receive(self) -> None:
        end: Outcome = Failure(NO_ANSWER, Kind.NOT_READY, f"{self._address} ended the stream")
        try:
            async for answer in self._call:
                if waiter := self._waiters.get(answer.id):
                    _settle(waiter, _stream_outcome(answer))
        except grpc.aio.AioRpcError as error:
            end = _failure(self._address, error)
        except asyncio.CancelledError:
            end = Failure(NO_ANSWER, Kind.CANCELLED, "the stream was closed")
        finally:
            self.is_over = True
            for waiter in self._waiters.values():
                _settle(waiter, end)


def _settle(waiter: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not waiter.done():
        waiter.set_result(outcome)


def _stream_outcome(answer: pb.ClassifyStreamResponse) -> Outcome:
    if answer.HasField("error"):
        return Failure("in the stream", answer.error.kind, answer.error.message)
    return Answer(answer.result.model, answer.result.version, _timings(answer.result.timings))


def _failure(address: str, error: grpc.aio.AioRpcError) -> Failure:
    told = error_of_call(address, error)
    return Failure(error.code().name, told.kind, str(told))


def _timings(timings: pb.Timings) -> Timings:
    return Timings(timings.decode_ms, timings.queue_ms, timings.inference_ms, timings.total_ms)
