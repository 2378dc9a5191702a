"""Wires the rooms of the service into one process, and ends it in order; its doors are service.doors' matter.

Several such processes on the same doors are service.supervisor's matter; here each is told its seat among them.
"""

import asyncio
import contextlib
import importlib.metadata
import logging
import os
import signal
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvloop
from grpc_health.v1 import health
from prometheus_client import CollectorRegistry

from cnnsvc.cli import EXIT_INTERRUPTED
from cnnsvc.engines.choice_cache import default_cache_dir
from cnnsvc.engines.threads import available_cpus
from cnnsvc.model import ModelOptions
from service.allocator import limit_hoarding
from service.doors import build_doors
from service.health import report
from service.keys import keep_fresh, open_keys
from service.metrics import Metrics
from service.models import Models
from service.predictor import Predictor, PredictorLimits
from service.recording import open_recording
from service.registry import Registry
from service.settings import ServeSettings
from service.shared_metrics import SharedRegistry
from service.worker_task import Serving, SupervisorChannel

_READINESS_SECONDS: Final = 0.2
_NUM_REMOTE_STREAMS: Final = 8
_PUBLISH_SECONDS: Final = 0.5
"""Age that the gauges of a worker may have in a scrape of another one."""

_log = logging.getLogger("cnnsvc.serve")


@dataclass(frozen=True)
class Seat:
    """What one of several workers needs to know of the others."""

    index: int
    registry: SharedRegistry
    supervisor: SupervisorChannel
    state_dir: Path
    is_replacement: bool


def serve(settings: ServeSettings, seat: Seat | None = None) -> None:
    """Serves until SIGTERM or SIGINT. Raises CnnsvcError where it cannot begin."""
    limit_hoarding()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, seat))


async def _serve(settings: ServeSettings, seat: Seat | None) -> None:
    num_cpus = max(1, available_cpus() // settings.workers)
    metrics = Metrics(
        seat.registry if seat else CollectorRegistry(),
        version=importlib.metadata.version("cnnsvc"),
        drift_window_images=settings.drift_window_images,
    )
    recording = metrics.recorder = open_recording(settings, seat.index if seat else None, metrics.audit_dropped.inc)
    registry = Registry(metrics)
    models = Models(registry, metrics, settings, _model_options(settings, num_cpus), seat.state_dir if seat else None)
    predictor = Predictor(registry, _limits(settings, num_cpus))
    admission = predictor.admission
    metrics.watch_admission(lambda: admission.num_images, limit=settings.queue_limit)
    metrics.watch_admitted_bytes(lambda: admission.num_bytes, limit=settings.queue_limit_bytes)
    stop = _stop_event()
    keys = open_keys(settings)
    doors = build_doors(settings, predictor, registry, metrics, keys, models.admin)
    refreshing = asyncio.create_task(keep_fresh(keys, metrics.keys))
    if seat:
        seat.supervisor.on_end(stop.set)
        publishing = asyncio.create_task(_publish(metrics, seat.registry))
        if seat.is_replacement:
            metrics.worker_restarts.inc()
    else:
        await doors.open(settings)
    try:
        await _until(stop, _load(models, registry, doors.health))
        if seat and not stop.is_set():
            # Not before: the kernel would send it calls that other workers can answer already.
            await doors.open(settings)
            seat.supervisor.tell(Serving())
        metrics.workers.set(1)
        following = asyncio.create_task(models.follow())
        await _report_readiness(registry, doors.health, stop)
        message = "stopping: after a pause of %d ms, calls in flight have %d ms"
        _log.info(message, settings.shutdown_pause_ms, settings.shutdown_grace_ms)
        registry.begin_stop()
        await doors.begin_stop(settings.shutdown_pause_ms)
        following.cancel()
    finally:
        await doors.close(settings.shutdown_grace_ms)
        await models.close()
        refreshing.cancel()
        if recording:
            await recording.close()
        if seat:
            publishing.cancel()
    _log.info("stopped")


def _num_streams(settings: ServeSettings, num_cpus: int) -> int:
    """Of what infers elsewhere one is a call in flight, and keeps no CPU busy."""
    return settings.num_streams or (_NUM_REMOTE_STREAMS if settings.upstream else num_cpus)


def _model_options(settings: ServeSettings, num_cpus: int) -> ModelOptions:
    return ModelOptions(
        engine=settings.engine,
        artifact=settings.artifact,
        num_streams=_num_streams(settings, num_cpus),
        may_use_fewer_streams=not settings.num_streams,
        max_batch_size=settings.max_batch_size,
        cache_dir=settings.cache_dir or default_cache_dir(),
        limit_pixels=settings.limit_pixels,
        upstream=settings.remote,
    )


def _limits(settings: ServeSettings, num_cpus: int) -> PredictorLimits:
    return PredictorLimits(
        queue_limit=settings.queue_limit,
        max_images_per_call=settings.max_images_per_call,
        request_timeout_ms=settings.request_timeout_ms,
        num_patient=max(1, min(4 * _num_streams(settings, num_cpus), settings.queue_limit // 2)),
        queue_limit_bytes=settings.queue_limit_bytes,
    )


async def _publish(metrics: Metrics, registry: SharedRegistry) -> None:
    """Writes again and again what another worker's scrape shall find of this one."""
    while True:
        metrics.sample()
        registry.publish()
        await asyncio.sleep(_PUBLISH_SECONDS)


async def _load(models: Models, registry: Registry, health_servicer: health.aio.HealthServicer) -> None:
    await report(health_servicer, is_ready=False)
    await models.load()
    await _report(registry.unready_reasons(), health_servicer)


async def _report_readiness(
    registry: Registry, health_servicer: health.aio.HealthServicer, stop: asyncio.Event
) -> None:
    """Until the stop: a model that had no good version may get one."""
    told = registry.unready_reasons()
    while not stop.is_set():
        if (reasons := registry.unready_reasons()) != told:
            await _report(reasons, health_servicer)
            told = reasons
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_READINESS_SECONDS):
                await stop.wait()


async def _report(reasons: list[str], health_servicer: health.aio.HealthServicer) -> None:
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
    """Set by SIGTERM or SIGINT; a second one ends the process at once, whatever its threads do."""
    stop = asyncio.Event()
    has_come = False

    def on_signal() -> None:
        nonlocal has_come
        if has_come:
            _log.warning("stopping at once: calls in flight are lost")
            os._exit(EXIT_INTERRUPTED)
        has_come = True
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    return stop
