"""Ports that workers share, and nobody else."""

import socket
from pathlib import Path

import pytest

from cnnsvc.errors import SettingError
from service.ports import bind, reserved
from service.settings import ServeSettings


def _settings(http_port: int = 0, grpc_port: int = 0) -> ServeSettings:
    return ServeSettings(models_dir=Path("models"), http_port=http_port, grpc_port=grpc_port, workers=2)


def test_workers_share_what_is_reserved() -> None:
    """Ports that the system chose are the same for all, and the reservation itself takes no connection."""
    with reserved(_settings()) as settings:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", settings.http_port))
        with (
            bind("HTTP", "127.0.0.1", settings.http_port, is_shared=True, listens_with=1),
            bind("HTTP", "127.0.0.1", settings.http_port, is_shared=True, listens_with=1),
            socket.create_connection(("127.0.0.1", settings.http_port)),
        ):
            pass


def test_a_reserved_port_is_taken() -> None:
    """Neither another service with workers nor one without gets it, even before anybody listens."""
    with reserved(_settings()) as settings:
        with pytest.raises(SettingError, match=f"HTTP cannot listen on 127.0.0.1:{settings.http_port}"):
            bind("HTTP", "127.0.0.1", settings.http_port)
        with (
            pytest.raises(SettingError, match=f"gRPC cannot listen on 127.0.0.1:{settings.grpc_port}"),
            reserved(_settings(grpc_port=settings.grpc_port)),
        ):
            raise AssertionError("reserved twice")


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_port_of_others_is_not_reserved(is_shared: bool) -> None:
    """A server that listens there is an error, also where it would share the port."""
    with (
        bind("", "127.0.0.1", 0, is_shared=is_shared, listens_with=1) as other,
        pytest.raises(SettingError, match="HTTP cannot listen on"),
        reserved(_settings(http_port=other.getsockname()[1])),
    ):
        raise AssertionError("reserved a taken port")


def test_both_doors_on_one_port_is_an_error() -> None:
    """They cannot share: it would be chance which protocol a client meets."""
    with bind("", "127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    with pytest.raises(SettingError, match=f"gRPC cannot listen on 127.0.0.1:{port}"), reserved(_settings(port, port)):
        raise AssertionError("reserved twice")


def test_connections_that_just_ended_are_no_hindrance() -> None:
    """A service can be started on ports whose last server closed its connections within the last minute."""
    with bind("", "127.0.0.1", 0, listens_with=1) as former:
        port = former.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            former.accept()[0].close()
            assert client.recv(1) == b""
    with reserved(_settings(http_port=port)) as settings:
        assert settings.http_port == port


def test_an_address_of_another_machine_is_an_error() -> None:
    """It is named with the door."""
    with pytest.raises(SettingError, match=r"HTTP cannot listen on 192\.0\.2\.1:0"):
        bind("HTTP", "192.0.2.1", 0)
    with pytest.raises(SettingError, match="HTTP cannot listen on no such name:0"):
        bind("HTTP", "no such name", 0)
