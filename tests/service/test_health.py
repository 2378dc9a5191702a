"""The health that gRPC's standard service reports."""

import asyncio
from typing import Any

from grpc_health.v1 import health_pb2

from service.health import CLASSIFIER_SERVICE, OPEN_INFERENCE_SERVICE, Health, report

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Watcher:
    """A context whose client reads only once it is let."""

    def __init__(self, *, reads: bool) -> None:
        self.told: list[Any] = []
        self.may_read = asyncio.Event()
        if reads:
            self.may_read.set()

    async def write(self, response: health_pb2.HealthCheckResponse) -> None:
        await self.may_read.wait()
        self.told.append(response.status)


async def test_every_service_has_a_health_of_its_name() -> None:
    """That of the whole server, under the names that clients call, the foreign one as its protocol declares it."""
    assert OPEN_INFERENCE_SERVICE == "inference.GRPCInferenceService"
    health = Health()
    for is_ready in (True, False):
        await report(health, is_ready=is_ready)
        for service in ("", CLASSIFIER_SERVICE, OPEN_INFERENCE_SERVICE):
            assert health._status(service) == (SERVING if is_ready else NOT_SERVING)


async def test_a_watcher_that_reads_nothing_holds_up_nobody() -> None:
    """Health changes, another watcher is told, and the end begins; who reads later gets the last state."""
    health = Health()
    await report(health, is_ready=True)
    deaf, other = Watcher(reads=False), Watcher(reads=True)
    request = health_pb2.HealthCheckRequest(service="")
    watching = [asyncio.create_task(health.Watch(request, one)) for one in (deaf, other)]
    await asyncio.sleep(0.01)
    async with asyncio.timeout(5):
        await report(health, is_ready=False)
        await asyncio.sleep(0.01)
        await report(health, is_ready=True)
        await asyncio.sleep(0.01)
        await health.enter_graceful_shutdown()
        await asyncio.sleep(0.01)
    assert other.told == [SERVING, NOT_SERVING, SERVING, NOT_SERVING]
    assert deaf.told == []
    deaf.may_read.set()
    await asyncio.sleep(0.01)
    assert deaf.told == [SERVING, NOT_SERVING]
    for task in watching:
        task.cancel()
    await asyncio.gather(*watching, return_exceptions=True)
    assert not health._server_watchers
