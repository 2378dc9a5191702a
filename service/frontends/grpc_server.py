"""The gRPC door: our services, standard health and reflection on one port."""

from collections.abc import Sequence
from typing import Any, Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from cnnsvc.errors import SettingError
from service.frontends.grpc_reflection import public_pool
from service.frontends.grpc_service import GrpcService

DEFAULT_CONNECTION_LIMIT: Final = 4096
_MAX_CALLS_PER_CONNECTION: Final = 1024
"""More than are admitted by default; a client queues the others itself."""
_MAX_IDLE_MS: Final = 15 * 60_000
"""Without a call; clients connect again by themselves."""
_HANDSHAKE_MS: Final = 10_000
_METADATA_BYTES: Final = 16 * 1024


def build_grpc_server(
    services: Sequence[GrpcService],
    health_servicer: health.aio.HealthServicer,
    *,
    body_limit_bytes: int,
    is_port_shared: bool = False,
    connection_limit: int = DEFAULT_CONNECTION_LIMIT,
    interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
) -> grpc.aio.Server:
    """A server without a port yet. Unless shared, a port in use is an error, so that nobody shares it by accident."""
    server = grpc.aio.server(
        interceptors=list(interceptors),
        options=[
            ("grpc.max_receive_message_length", body_limit_bytes),
            ("grpc.max_send_message_length", body_limit_bytes),
            ("grpc.so_reuseport", int(is_port_shared)),
            # A client that vanished without a word is noticed, so that no stream of it stays open.
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.keepalive_timeout_ms", 20_000),
            # Clients may ask as much; by default gRPC ends the connection of one that asks twice in five minutes.
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            ("grpc.max_allowed_incoming_connections", connection_limit),
            ("grpc.max_concurrent_streams", _MAX_CALLS_PER_CONNECTION),
            # By default it refuses from half of this on, the more often the more there is.
            ("grpc.max_metadata_size", _METADATA_BYTES),
            ("grpc.absolute_max_metadata_size", _METADATA_BYTES),
            ("grpc.max_connection_idle_ms", _MAX_IDLE_MS),
            ("grpc.server_handshake_timeout_ms", _HANDSHAKE_MS),
        ],
    )
    server.add_generic_rpc_handlers([service.handler() for service in services])
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    names = [*(service.name for service in services), health.SERVICE_NAME, reflection.SERVICE_NAME]
    standard: list[Any] = [health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR]  # whose stubs name another class
    pool = public_pool([*(service.file for service in services), *standard])
    reflection.enable_server_reflection(names, server, pool)
    return server


def bind_grpc(server: grpc.aio.Server, host: str, port: int, credentials: grpc.ServerCredentials | None = None) -> int:
    """The port that the server listens on, with TLS where there are credentials. Raises SettingError."""
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        bound = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    except RuntimeError:
        bound = 0
    if not bound:
        raise SettingError(f"gRPC cannot listen on {address}: the port is in use or the address is not this machine's")
    return bound
