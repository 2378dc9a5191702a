"""The ports of the service: bound, reserved for several processes that share them, and told to the operator."""

import contextlib
import dataclasses
import errno
import importlib.metadata
import logging
import socket
from collections.abc import Iterator

from cnnsvc.errors import SettingError
from service.settings import ServeSettings

_log = logging.getLogger("cnnsvc.serve")


def bind(door: str, host: str, port: int, *, is_shared: bool = False, listens_with: int = 0) -> socket.socket:
    """A bound socket, listening where a backlog is given. Unless shared, a second process on the port is an error.

    Raises SettingError where it cannot listen there.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SettingError(f"{door} cannot listen on {host}:{port}: {error.strerror}") from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(is_shared))
        sock.bind(address)
        if listens_with:
            sock.listen(listens_with)
    except OSError as error:
        sock.close()
        raise SettingError(f"{door} cannot listen on {host}:{port}: {error.strerror}") from None
    return sock


@contextlib.contextmanager
def reserved(settings: ServeSettings) -> Iterator[ServeSettings]:
    """The settings with the ports that workers can share meanwhile, those that the system chose among them.

    Raises SettingError where somebody else, another service of ours included, has one of the ports.
    """
    wanted: dict[str, int | None] = {
        "HTTP": settings.http_port,
        "gRPC": settings.grpc_port,
        "metrics": settings.metrics_port,
    }
    with contextlib.ExitStack() as opened:
        ports = {
            door: opened.enter_context(_reservation(door, settings.host, port)).getsockname()[1]
            for door, port in wanted.items()
            if port is not None
        }
        yield dataclasses.replace(
            settings, http_port=ports["HTTP"], grpc_port=ports["gRPC"], metrics_port=ports.get("metrics")
        )


def announce(settings: ServeSettings) -> None:
    """Logs what is served where; the ports in the settings are the real ones."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    scheme = "https" if settings.tls_certificate else "http"
    fields = {
        "cnnsvc_version": importlib.metadata.version("cnnsvc"),
        "engine": settings.engine,
        "grpc_address": f"{host}:{settings.grpc_port}",
        "http_url": f"{scheme}://{host}:{settings.http_port}",
    }
    message = "cnnsvc %(cnnsvc_version)s, engine %(engine)s: gRPC listens on %(grpc_address)s, HTTP on %(http_url)s"
    if settings.metrics_port is not None:
        fields["metrics_url"] = f"{scheme}://{host}:{settings.metrics_port}"
        message += ", metrics on %(metrics_url)s"
    _log.info(message, fields, extra=fields)


def _reservation(door: str, host: str, port: int) -> socket.socket:
    """Bound and never listening, so that it gets no connection, and nobody but sharers can bind the port."""
    with bind(door, host, port) as probe:
        family, address = probe.family, probe.getsockname()
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        try:
            # Without SO_REUSEADDR: with it on both sides the kernel lets others bind as long as nobody listens.
            sock.bind(address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            # Connections of a server that did not share and ended within the last minute.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
    except OSError as error:
        sock.close()
        raise SettingError(f"{door} cannot listen on {host}:{address[1]}: {error.strerror}") from None
    return sock
