"""The HTTP front-end over fakes: called in memory, or served by uvicorn on a port of its own."""

import contextlib
import socket
import ssl
from asyncio import create_task, sleep
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from time import monotonic

import httpx
import msgspec
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from service.frontends.http_app import build_http_app
from service.frontends.http_call import CallLimits
from service.frontends.http_connection import ConnectionLimits
from service.frontends.http_server import HttpServer, build_http_server
from service.metrics import Metrics
from tests.bundles import manifest_of
from tests.fakes import FakePredictor, FakeRegistry, served_model

BODY_LIMIT_BYTES = 200_000
MAX_IMAGES = 4
TIMEOUT_MS = 5_000
LIMITS = ConnectionLimits(head_timeout_ms=10_000, keep_alive_ms=75_000)


@dataclass
class Door:
    app: ASGIApp
    predictor: FakePredictor
    registry: FakeRegistry
    metric_registry: CollectorRegistry

    def num_requests(self, method: str, code: str, model: str = "", version: str = "") -> float:
        """How many calls the metrics counted with exactly these labels."""
        labels = {"protocol": "http", "method": method, "model": model, "version": version, "code": code}
        return self.metric_registry.get_sample_value("cnnsvc_request_duration_seconds_count", labels) or 0.0

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://cnnsvc")


def open_door(
    predictor: FakePredictor | None = None, *, reasons: Sequence[str] = (), timeout_ms: int = TIMEOUT_MS
) -> Door:
    """Two versions of one model, the second the default one."""
    metric_registry = CollectorRegistry()
    metrics = Metrics(metric_registry, version="test")
    first = manifest_of()
    second = msgspec.structs.replace(first, version=2)
    served = [served_model(first, metrics, is_default=False), served_model(second, metrics)]
    registry = FakeRegistry(served, reasons)
    predictor = predictor or FakePredictor()
    app = build_http_app(predictor, registry, metrics, CallLimits(BODY_LIMIT_BYTES, MAX_IMAGES, timeout_ms))
    return Door(app, predictor, registry, metric_registry)


@contextlib.asynccontextmanager
async def listening(
    door: Door, limits: ConnectionLimits = LIMITS, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serves the app as the program does; gives the port."""
    async with stoppable(door, limits, tls) as (_, port):
        yield port


@contextlib.asynccontextmanager
async def stoppable(
    door: Door, limits: ConnectionLimits = LIMITS, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[HttpServer, int]]:
    """The same, with the server; ended on the way out if it still serves."""
    server = build_http_server(door.app, limits, tls)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = create_task(server.serve([listener]))
        await until(lambda: server.started)
        port = listener.getsockname()[1]
        try:
            yield server, port
        finally:
            server.close(monotonic() if not server.should_exit else monotonic() + 10)
            await task


async def until(is_true: Callable[[], bool]) -> None:
    """Waits until the claim holds, five seconds at most."""
    for _ in range(1000):
        if is_true():
            return
        await sleep(0.005)
    raise TimeoutError("waited five seconds in vain")
