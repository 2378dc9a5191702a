"""`cnnsvc health` beside servers that are ready, are not, are silent, or are not cnnsvc at all."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from tests.bundles import write_bundle
from tests.e2e.server import CNNSVC, serving


def _health(port: int, *more: str) -> subprocess.CompletedProcess[str]:
    words = [str(CNNSVC), "health", "--http-port", str(port), *more]
    return subprocess.run(words, capture_output=True, text=True, timeout=60)


def _port(http_url: str) -> int:
    return int(http_url.rpartition(":")[2])


@contextmanager
def _listening(answer: bytes | None) -> Iterator[int]:
    """The port of a program that says the same to its first caller, whatever was asked; None is nothing at all."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                if answer is not None:
                    connection.sendall(answer)
                else:
                    connection.recv(4096)

        thread = Thread(target=talk)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


@pytest.mark.slow
def test_a_ready_server_is_status_0(tmp_path: Path) -> None:
    """One word and exit status 0, by flag and by the variable that sets the server's own port."""
    write_bundle(tmp_path)
    with serving("--models-dir", tmp_path) as server:
        port = _port(server.http_url)
        asked = _health(port)
        assert (asked.returncode, asked.stdout, asked.stderr) == (0, "ready\n", "")
        variables = {**os.environ, "CNNSVC_HTTP_PORT": str(port)}
        assert subprocess.run([str(CNNSVC), "health"], env=variables, timeout=60).returncode == 0


@pytest.mark.slow
def test_a_server_that_is_not_ready_gives_its_reasons(tmp_path: Path) -> None:
    """Exit status 1, and what /readyz says is missing."""
    with serving("--models-dir", tmp_path, until="no model is there to serve") as server:
        port = _port(server.http_url)
        asked = _health(port)
    assert (asked.returncode, asked.stdout) == (1, "")
    assert asked.stderr == f"cnnsvc: 127.0.0.1:{port} is not ready: no model is there to serve\n"


def test_no_server_is_an_error_in_one_line() -> None:
    """Where nothing listens the exit status is 1."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    asked = _health(port)
    assert asked.returncode == 1
    assert asked.stderr == f"cnnsvc: 127.0.0.1:{port} does not answer: Connection refused\n"


def test_a_silent_server_is_waited_for_only_so_long() -> None:
    """A server that accepts and says nothing is given up after --timeout-ms."""
    with _listening(None) as port:
        started = time.monotonic()
        asked = _health(port, "--timeout-ms", "200")
    assert asked.returncode == 1
    assert asked.stderr == f"cnnsvc: 127.0.0.1:{port} does not answer: timed out\n"
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"SSH-2.0-other\r\n", "does not answer in HTTP"),
        (
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}",
            "answers /readyz with status 404, and not as cnnsvc",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "answers /readyz with status 200, and not as cnnsvc"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue", "answers /readyz with status 200, and not as cnnsvc"),
    ],
)
def test_another_program_on_the_port_is_not_healthy(answer: bytes, said: str) -> None:
    """Only cnnsvc's own answer counts, not any answer with status 200."""
    with _listening(answer) as port:
        asked = _health(port)
    assert asked.returncode == 1
    assert said in asked.stderr
    assert "Traceback" not in asked.stderr


def test_it_loads_neither_grpc_nor_arrays() -> None:
    """A check that runs every few seconds has none of the heavy packages in its process."""
    program = "import cnnsvc.cli, cnnsvc.health_command, sys; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "typer" in loaded
    assert set(loaded).isdisjoint({"grpc", "numpy", "google", "openvino", "service", "msgspec", "starlette"})
