"""Images over one ClassifyStream call, for asyncio: few are held at a time, each gets an outcome whatever happens."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Generic

import grpc

from cnnsvc.classification import Image, Key, Outcome
from cnnsvc.client_messages import stream_outcome
from cnnsvc.client_stream import GRACE_SECONDS, WINDOW, End, Ledger, MakeRequest, silence
from cnnsvc.errors import CallCancelledError, CnnsvcError, InternalError
from cnnsvc.pb import classifier_pb2 as pb


class AsyncImageStream(Generic[Key]):
    """One task takes and sends images, a second one receives answers, the caller's own hands them out."""

    def __init__(
        self,
        images: Iterable[tuple[Key, Image]] | AsyncIterable[tuple[Key, Image]],
        make_request: MakeRequest,
        make_error: Callable[[grpc.RpcError], CnnsvcError],
        *,
        timeout_seconds: float,
        in_order: bool,
    ) -> None:
        """`timeout_seconds` is what the server has for each image once it has read it."""
        self._patience_seconds = timeout_seconds + GRACE_SECONDS
        self._images = _drawn(images)
        self._make_request = make_request
        self._make_error = make_error
        self._ledger: Ledger[Key] = Ledger(in_order=in_order)
        self._room = asyncio.Semaphore(WINDOW)
        self._events: asyncio.Queue[tuple[int, Outcome] | End] = asyncio.Queue()
        self._is_over = False
        self._has_taken_all = False
        self._failure: Exception | None = None

    async def outcomes(self, start_call: Callable[[], Awaitable[Any]]) -> AsyncIterator[tuple[Key, Outcome]]:
        """One for every image; where the call cannot begin, that is the outcome of all.

        Raises what the caller's own iterable raised, after the outcomes of what it gave.
        """
        try:
            call = await start_call()
        except CnnsvcError as error:
            async for key, _ in self._images:
                yield key, error
            return
        sender = asyncio.create_task(self._send(call))
        receiver = asyncio.create_task(self._receive(call))
        try:
            while not isinstance(event := await self._next_event(), End):
                for handed in self._ledger.settle(*event):
                    self._room.release()
                    yield handed
            call.cancel()  # where the server hangs, a write would too
            async for handed in self._rest(event, sender):
                yield handed
        finally:
            sender.cancel()
            call.cancel()  # ends the receiver, which is not to be cancelled: gRPC's core may be writing to its memory
            await asyncio.gather(sender, receiver, return_exceptions=True)

    async def _send(self, call: Any) -> None:
        while (taken := await self._take()) is not None:
            place, image = taken
            is_read = isinstance(image, bytes)
            make = self._make_request
            request = make(place, image) if is_read else await asyncio.to_thread(make, place, image)
            if isinstance(request, CnnsvcError):
                self._events.put_nowait((place, request))
            elif not await _write(call, request):
                return
        await call.done_writing()

    async def _take(self) -> tuple[int, Image] | None:
        """The next image with its place, once there is room for it; None at the end."""
        await self._room.acquire()
        if self._is_over:
            return None
        try:
            key, image = await anext(self._images)
        except StopAsyncIteration:
            self._has_taken_all = True
            return None
        except Exception as error:
            self._failure = error
            return None
        return self._ledger.take(key), image

    async def _receive(self, call: Any) -> None:
        try:
            async for answer in call:
                self._events.put_nowait(stream_outcome(answer))
        except grpc.RpcError as error:
            self._events.put_nowait(End(self._make_error(error)))
        except asyncio.CancelledError:
            self._events.put_nowait(End(CallCancelledError("the client was closed before the answer came")))
        except Exception as error:  # whatever it is, the caller must not wait for ever
            self._events.put_nowait(End(InternalError(f"the answer of the server cannot be read: {error}")))
        else:
            self._events.put_nowait(End(None))

    async def _next_event(self) -> tuple[int, Outcome] | End:
        """Waits for it, but not for ever: a server that hangs without being gone is given up."""
        while self._events.empty():
            try:
                async with asyncio.timeout(self._patience_seconds):
                    return await self._events.get()
            except TimeoutError:
                if self._ledger.is_overdue(self._patience_seconds):
                    return silence(self._patience_seconds)
        return self._events.get_nowait()

    async def _rest(self, end: End, sender: asyncio.Task[None]) -> AsyncIterator[tuple[Key, Outcome]]:
        """Outcomes of what the server did not answer, and of what it was never asked."""
        self._is_over = True
        self._room.release()
        await asyncio.wait([sender])  # it may be taking an image: it notes that one first
        for handed in self._ledger.fail_unanswered(end.reason):
            yield handed
        if self._failure is not None:
            raise self._failure
        if not self._has_taken_all:
            async for key, _ in self._images:
                yield key, end.reason


async def _write(call: Any, request: pb.ClassifyStreamRequest) -> bool:
    """Whether the call still goes on; where it does not, the receiver tells why."""
    try:
        await call.write(request)
    except (grpc.RpcError, asyncio.InvalidStateError):
        return False
    return True


async def _drawn(images: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[Any]:
    if isinstance(images, AsyncIterable):
        async for pair in images:
            yield pair
    else:
        for pair in images:
            yield pair
