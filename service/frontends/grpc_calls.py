"""Every gRPC call that is being answered, of whatever service: named, measured, refused in words, ended in order."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from cnnsvc.errors import NotReadyError
from service.frontends.grpc_boundary import Context, late_at_deadline, name_call, refuse
from service.metrics import Metrics, ObservedRequest

Response = TypeVar("Response")
_CUT_SHORT: Final = "the server is stopping, and the call did not end within its time of grace"


class GrpcCalls:
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.stopping: Final = asyncio.Event()
        """Set when streams must end."""
        self._tasks: set[asyncio.Task[object] | None] = set()
        self._idle = asyncio.Event()
        self._is_cut_short = False

    async def serve(
        self, method: str, context: Context, answer: Callable[[ObservedRequest], Awaitable[Response]]
    ) -> Response | None:
        """A call of one answer, measured as that method; a refused one has no response."""

        async def measured() -> Response:
            with self._metrics.request("grpc", method, context) as observed, late_at_deadline(context):
                return await answer(observed)

        return await self.guard(context, measured())

    async def guard(self, context: Context, work: Awaitable[Response]) -> Response | None:
        """Names the call and translates what the work raises; what it measures is its own matter."""
        name_call(context)
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            return await work
        except Exception as error:
            await refuse(context, error)
        except asyncio.CancelledError:
            if not self._is_cut_short:
                raise
            await refuse(context, NotReadyError(_CUT_SHORT))
        finally:
            self._tasks.discard(task)
            if not self._tasks:
                self._idle.set()
        return None

    def stop_streams(self) -> None:
        """Ends every stream with UNAVAILABLE as soon as what it has read is answered."""
        self.stopping.set()

    async def until_idle(self) -> None:
        """Waits until no call is being answered."""
        while self._tasks:
            self._idle.clear()
            await self._idle.wait()

    def cut_short(self) -> None:
        """Ends every call that is being answered with UNAVAILABLE: the server's time of grace is over."""
        self._is_cut_short = True
        for task in self._tasks:
            assert task is not None
            task.cancel()
