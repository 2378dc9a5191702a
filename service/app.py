"""Wires the rooms of the service into one process with two doors, and ends it in order."""

import asyncio
import importlib.metadata
import logging
import signal
import socket
from collections.abc import Coroutine
from dataclasses import dataclass

import grpc
import uvicorn
import uvloop
from grpc_health.v1 import health
from prometheus_client import CollectorRegistry

from cnnsvc.engines.threads import available_cpus
from cnnsvc.model import ModelOptions
from service.allocator import limit_hoarding
from service.frontends.grpc_server import bind_grpc, build_grpc_server
from service.frontends.http_app import build_http_app
from service.frontends.http_server import bind_http, build_http_server
from service.frontends.native_grpc import NativeClassifier
from service.frontends.native_stream import StreamLimits
from service.health import report
from service.metrics import Metrics
from service.predictor import Predictor, PredictorLimits
from service.registry import Registry
from service.settings import ServeSettings

_log = logging.getLogger("cnnsvc.serve")


def serve(settings: ServeSettings) -> None:
    """Serves until SIGTERM or SIGINT. Raises CnnsvcError where it cannot begin."""
    limit_hoarding()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))


@dataclass(frozen=True)
class _Doors:
    http: uvicorn.Server
    http_socket: socket.socket
    grpc: grpc.aio.Server
    classifier: NativeClassifier
    health: health.aio.HealthServicer


async def _serve(settings: ServeSettings) -> None:
    num_cpus = available_cpus()
    metrics = Metrics(CollectorRegistry(), version=importlib.metadata.version("cnnsvc"))
    registry = Registry(_model_options(settings, num_cpus), metrics)
    predictor = Predictor(registry, _limits(settings, num_cpus))
    metrics.watch_admission(lambda: predictor.num_admitted, limit=settings.queue_limit)
    stop = _stop_event()
    doors = _open_doors(settings, predictor, registry, metrics)
    await doors.grpc.start()
    http_task = asyncio.create_task(doors.http.serve(sockets=[doors.http_socket]))
    try:
        await _until(stop, _load(settings, registry, doors.health))
        await stop.wait()
        _log.info("stopping: calls in flight have %d ms", settings.shutdown_grace_ms)
    finally:
        await doors.health.enter_graceful_shutdown()
        doors.classifier.stop_streams()
        doors.http.should_exit = True
        await asyncio.gather(http_task, doors.grpc.stop(settings.shutdown_grace_ms / 1000))
        registry.close()
    _log.info("stopped")


def _model_options(settings: ServeSettings, num_cpus: int) -> ModelOptions:
    return ModelOptions(
        engine=settings.engine,
        artifact=settings.artifact,
        num_streams=settings.num_streams or num_cpus,
        may_use_fewer_streams=not settings.num_streams,
        max_batch_size=settings.max_batch_size,
        cache_dir=settings.cache_dir,
        limit_pixels=settings.limit_pixels,
    )


def _limits(settings: ServeSettings, num_cpus: int) -> PredictorLimits:
    return PredictorLimits(
        queue_limit=settings.queue_limit,
        max_images_per_call=settings.max_images_per_call,
        request_timeout_ms=settings.request_timeout_ms,
        num_patient=2 * settings.max_batch_size * (settings.num_streams or num_cpus),
    )


def _open_doors(settings: ServeSettings, predictor: Predictor, registry: Registry, metrics: Metrics) -> _Doors:
    """Both ports are bound before any model is loaded, so that a taken port is told at once."""
    health_servicer = health.aio.HealthServicer()
    stream_limits = StreamLimits(settings.stream_window, num_bytes=settings.body_limit_bytes)
    classifier = NativeClassifier(predictor, registry, metrics, stream_limits)
    grpc_server = build_grpc_server(classifier, health_servicer, body_limit_bytes=settings.body_limit_bytes)
    http_app = build_http_app(
        predictor,
        registry,
        metrics,
        body_limit_bytes=settings.body_limit_bytes,
        max_images_per_call=settings.max_images_per_call,
        request_timeout_ms=settings.request_timeout_ms,
    )
    http_server = build_http_server(http_app, shutdown_grace_ms=settings.shutdown_grace_ms)
    http_socket = bind_http(settings.host, settings.http_port)
    grpc_port = bind_grpc(grpc_server, settings.host, settings.grpc_port)
    _announce(settings, grpc_port, http_socket.getsockname()[1])
    return _Doors(http_server, http_socket, grpc_server, classifier, health_servicer)


def _announce(settings: ServeSettings, grpc_port: int, http_port: int) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    fields = {
        "cnnsvc_version": importlib.metadata.version("cnnsvc"),
        "engine": settings.engine,
        "grpc_address": f"{host}:{grpc_port}",
        "http_url": f"http://{host}:{http_port}",
    }
    message = "cnnsvc %(cnnsvc_version)s, engine %(engine)s: gRPC listens on %(grpc_address)s, HTTP on %(http_url)s"
    _log.info(message, fields, extra=fields)


async def _load(settings: ServeSettings, registry: Registry, health_servicer: health.aio.HealthServicer) -> None:
    await report(health_servicer, is_ready=False)
    if settings.bundle is not None:
        await registry.load_bundle(settings.bundle)
    else:
        assert settings.models_dir is not None, "the settings promise one of the two"
        await registry.load_folder(settings.models_dir)
    reasons = registry.unready_reasons()
    await report(health_servicer, is_ready=not reasons)
    if reasons:
        _log.error("not ready: %s", "; ".join(reasons))
    else:
        _log.info("ready")


async def _until(stop: asyncio.Event, work: Coroutine[None, None, None]) -> None:
    """Waits for the work, but no longer than until the stop."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working.done():
        working.result()
    else:
        working.cancel()


def _stop_event() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
