"""The two doors of the service as one: opened together, and closed together without losing what was accepted."""

import asyncio
import dataclasses
import logging
import socket
import time
from collections.abc import Sequence
from typing import Final

import grpc
from grpc_health.v1 import health

from service.admin import Admin
from service.frontends.dialects import Rooms, dialect_routes, dialect_services
from service.frontends.grpc_calls import GrpcCalls
from service.frontends.grpc_door import GrpcDoor
from service.frontends.grpc_farewell import send_away
from service.frontends.grpc_gate import GrpcGate
from service.frontends.grpc_server import build_grpc_server
from service.frontends.grpc_service import GrpcService
from service.frontends.http_admin import AdminDoor
from service.frontends.http_app import build_http_app, build_metrics_app
from service.frontends.http_call import CallLimits
from service.frontends.http_connection import ConnectionLimits
from service.frontends.http_server import LINGER_SECONDS, HttpServer, bind_http, build_http_server
from service.frontends.native_grpc import NativeClassifier
from service.frontends.native_stream import StreamLimits
from service.health import Health
from service.keys import Keys
from service.listeners import sockets_on, take_in
from service.metrics import Metrics
from service.ports import announce
from service.predictor import Predictor
from service.registry import Registry
from service.settings import ServeSettings

_ROUND_SECONDS: Final = 0.1
_LAST_WORDS_SECONDS: Final = 1.0
"""For the answers of calls that are done; what never ends by itself, such as a watch of health, gets no more."""

_log = logging.getLogger("cnnsvc.serve")


class Doors:
    def __init__(
        self,
        http_servers: list[HttpServer],
        grpc_door: GrpcDoor,
        calls: GrpcCalls,
        health_servicer: health.aio.HealthServicer,
        *,
        is_encrypted: bool = False,
    ) -> None:
        self.health = health_servicer
        self._http_servers = http_servers
        self._is_encrypted = is_encrypted
        self._grpc = grpc_door
        self._calls = calls
        self._grpc_port = 0
        self._serving: list[asyncio.Task[None]] = []

    async def open(self, settings: ServeSettings) -> None:
        """Binds both ports before anything is answered. Raises SettingError where one is taken."""
        is_shared = settings.workers > 1
        wanted = {"HTTP": settings.http_port, "metrics": settings.metrics_port}
        listeners = [
            bind_http(settings.host, port, is_shared=is_shared, door=door)
            for door, port in wanted.items()
            if port is not None
        ]
        self._grpc_port = self._grpc.bind(settings.host, settings.grpc_port)
        if not is_shared:
            http_port, *rest = (listener.getsockname()[1] for listener in listeners)
            metrics_port = rest[0] if rest else None
            announce(
                dataclasses.replace(settings, grpc_port=self._grpc_port, http_port=http_port, metrics_port=metrics_port)
            )
        await self._grpc.start()
        self._serving = [
            asyncio.create_task(http.serve(sockets=[listener]))
            for http, listener in zip(self._http_servers, listeners, strict=True)
        ]

    async def begin_stop(self, pause_ms: int) -> None:
        """Says that the server stops, and goes on answering for the pause, so that callers can move on."""
        await self.health.enter_graceful_shutdown()
        for http in self._http_servers:
            http.begin_stop()
        if self._serving:
            await asyncio.sleep(pause_ms / 1000)

    async def close(self, grace_ms: int) -> None:
        """Takes in and answers what was accepted, until the grace is over."""
        await self.begin_stop(0)
        deadline = time.monotonic() + grace_ms / 1000
        if self._serving:
            for http in self._http_servers:
                http.close(deadline)
            await asyncio.gather(*self._serving, self._close_grpc(deadline))
        else:
            await self._grpc.stop(0)

    async def _close_grpc(self, deadline: float) -> None:
        with sockets_on(self._grpc_port) as (listeners, _):
            await take_in(listeners, _remaining_seconds(deadline))
        if not self._is_encrypted:  # into which nobody but gRPC can write
            await self._send_clients_away(deadline)
        self._calls.stop_streams()
        remaining = _remaining_seconds(deadline)
        ending = asyncio.create_task(self._grpc.stop(remaining + _LAST_WORDS_SECONDS))
        try:
            async with asyncio.timeout(remaining):
                await self._calls.until_idle()
        except TimeoutError:
            self._calls.cut_short()
        await self._grpc.stop(_LAST_WORDS_SECONDS)  # the shorter of the two holds
        await ending

    async def _send_clients_away(self, deadline: float) -> None:
        """They begin no more calls here once they know, and what they began before that is taken in."""
        told: set[object] = set()
        until = time.monotonic()
        while True:
            num_told = len(told)
            with sockets_on(self._grpc_port) as (_, connections):
                told |= set(map(_peer, send_away([each for each in connections if _peer(each) not in told])))
            if len(told) > num_told:
                until = min(deadline, time.monotonic() + LINGER_SECONDS)
            self._calls.stop_streams()
            if time.monotonic() >= until:
                return
            await asyncio.sleep(_ROUND_SECONDS)


def build_doors(
    settings: ServeSettings,
    predictor: Predictor,
    registry: Registry,
    metrics: Metrics,
    keys: Keys,
    admin: Admin | None,
) -> Doors:
    health_servicer = Health()
    stream_limits = StreamLimits(settings.stream_window, num_bytes=settings.body_limit_bytes)
    calls = GrpcCalls(metrics)
    states_of = admin.show if admin else None
    if not keys.access:
        admin = None
    elif not admin:
        _log.info("there is no admin API: --bundle serves one version and no other")
    limits = CallLimits(
        settings.body_limit_bytes,
        settings.max_images_per_call,
        settings.request_timeout_ms,
        settings.explain_budget_limit,
    )
    rooms = Rooms(predictor, registry, metrics, limits, stream_limits, admin, states_of)
    classifier = NativeClassifier(predictor, registry, metrics, calls, stream_limits)
    services = [classifier.service(), *dialect_services(rooms, calls)]
    return Doors(
        _http_servers(settings, rooms, keys),
        _grpc_door(settings, services, health_servicer, metrics, keys),
        calls,
        health_servicer,
        is_encrypted=keys.certificates is not None,
    )


def _grpc_door(
    settings: ServeSettings,
    services: Sequence[GrpcService],
    health_servicer: health.aio.HealthServicer,
    metrics: Metrics,
    keys: Keys,
) -> GrpcDoor:
    interceptors = [GrpcGate(keys.access, metrics)] if keys.access else []

    def build() -> grpc.aio.Server:
        return build_grpc_server(
            services,
            health_servicer,
            body_limit_bytes=settings.body_limit_bytes,
            is_port_shared=settings.workers > 1,
            connection_limit=settings.connection_limit,
            interceptors=interceptors,
        )

    return GrpcDoor(build, keys.grpc_credentials)


def _http_servers(settings: ServeSettings, rooms: Rooms, keys: Keys) -> list[HttpServer]:
    """That of the HTTP door, and that of the metrics where they have a door of their own."""
    has_own_metrics = settings.metrics_port is not None
    app = build_http_app(
        rooms.predictor,
        rooms.registry,
        rooms.metrics,
        rooms.limits,
        access=keys.access,
        admin=AdminDoor(rooms.admin, rooms.metrics) if rooms.admin else None,
        dialects=dialect_routes(rooms),
        has_metrics=not has_own_metrics,
    )
    limits = ConnectionLimits(
        settings.http_head_timeout_ms, settings.http_keep_alive_ms, max_connections=settings.connection_limit
    )
    servers = [build_http_server(app, limits, keys.http_context())]
    if has_own_metrics:
        metrics_app = build_metrics_app(rooms.registry, rooms.metrics, keys.access)
        servers.append(build_http_server(metrics_app, limits, keys.http_context(asks_for_certificates=False)))
    return servers


def _remaining_seconds(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())


def _peer(connection: socket.socket) -> object:
    """Its name among the connections of a port; None once it is broken."""
    try:
        return connection.getpeername()
    except OSError:
        return None
