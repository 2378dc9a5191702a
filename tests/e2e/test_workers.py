"""Several workers on one pair of ports, as an operator meets them: shared, counted together, started again, ended."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from cnnsvc.client import Client
from service.ports import bind
from tests.bundles import write_bundle
from tests.e2e.server import CNNSVC, Server, serving
from tests.encoded import encode, scene

pytestmark = pytest.mark.slow

PATIENCE_SECONDS = 20.0
"""On a machine that is busy with other tests; on a quiet one a worker is back in less than one."""
IMAGE = encode("JPEG")


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_bundle(folder)
    return folder


@contextlib.contextmanager
def _workers(models_dir: Path, *arguments: object) -> Iterator[Server]:
    words = ("--models-dir", models_dir, "--workers", 2, *arguments)
    with serving(*words, until="all 2 workers serve") as server:
        yield server


@pytest.fixture
def server(models_dir: Path) -> Iterator[Server]:
    with _workers(models_dir) as server:
        yield server


def test_both_workers_answer_and_their_counts_are_one(server: Server) -> None:
    """Calls on both doors reach every worker, and whichever is scraped shows them all, no more and no fewer."""
    used: set[int] = set()
    for _ in range(40):
        used.add(_connect_and_call(server))
    assert used == _pids(server)
    for _ in range(20):
        with Client(server.grpc_address) as client:
            client.classify(IMAGE)
    for _ in range(10):
        assert _value(server, "cnnsvc_request_duration_seconds_count", protocol="http", method="classify") == 40
        assert _value(server, "cnnsvc_request_duration_seconds_count", protocol="grpc", method="classify") == 20
        assert _value(server, "cnnsvc_predictions_total") == 60
        assert _value(server, "cnnsvc_build_info") == _value(server, "cnnsvc_model_info") == 1
        assert _value(server, "cnnsvc_ready") == 1
        assert _value(server, "cnnsvc_workers") == 2
        assert _value(server, "cnnsvc_images_admitted_limit") == 1024


def test_nobody_meets_a_worker_that_is_not_ready(models_dir: Path) -> None:
    """From the first connection that is taken on, while others still load, every call is answered."""
    with bind("", "127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    statuses = []
    is_over = threading.Event()

    def call() -> None:
        while not is_over.is_set():
            with contextlib.suppress(httpx.ConnectError):
                statuses.append(httpx.post(f"http://127.0.0.1:{port}/api/v1/classify", content=IMAGE).status_code)

    caller = threading.Thread(target=call)
    caller.start()
    try:
        with serving(
            "--models-dir", models_dir, "--workers", 4, "--http-port", port, until="all 4 workers serve"
        ) as server:
            is_over.set()
            caller.join()
            assert _value(server, "cnnsvc_workers") == 4
    finally:
        is_over.set()
    assert set(statuses) == {200}


def test_a_killed_worker_is_replaced_and_no_counter_falls(server: Server) -> None:
    """The other worker's connections notice nothing; the new one takes calls within seconds, not before it is ready."""
    connections = _connections(server)
    victim, survivor = sorted(connections)
    for client in connections.values():
        assert _classify(client, server) == 200
    watch = _Watch(server, connections[survivor])
    with watch:
        os.kill(victim, signal.SIGKILL)
        connections.pop(victim).close()
        killed_at = time.monotonic()
        while _is_alive(victim):  # until then the kernel may give it connections, which end with it
            time.sleep(0.001)
        while len(_pids(server)) < 2 or _value(server, "cnnsvc_workers") < 2:
            assert time.monotonic() < killed_at + PATIENCE_SECONDS, server.log
            # Every new connection is of a worker that answers.
            assert httpx.get(f"{server.http_url}/readyz").status_code == 200
            time.sleep(0.02)
    seconds = _seconds_to_serve_again(server)
    print(f"served again after {seconds} s")  # noqa: T201  # shown by pytest -s
    assert seconds < PATIENCE_SECONDS
    assert watch.num_calls > 5
    assert watch.counts == sorted(watch.counts)
    assert _value(server, "cnnsvc_request_duration_seconds_count", method="classify") == 2 + watch.num_calls
    assert _value(server, "cnnsvc_worker_restarts_total") == 1
    (successor,) = _pids(server) - {survivor}
    _close(connections)
    again = _connections(server)
    assert set(again) == {survivor, successor}
    _close(again)


def test_a_signal_drains_all_workers(models_dir: Path) -> None:
    """Calls in flight in either worker are answered, all processes end, and so does the supervisor, with status 0."""
    slow = encode("PNG", scene(1500, 1500))
    files = [(str(index), slow) for index in range(60)]
    with _workers(models_dir) as server, ThreadPoolExecutor(4) as threads:
        pids = _pids(server)
        connections = _connections(server)
        clients = [Client(server.grpc_address) for _ in range(2)]
        calls = [
            threads.submit(client.post, f"{server.http_url}/api/v1/classify", files=files, timeout=60)
            for client in connections.values()
        ]
        grpc_calls = [threads.submit(client.classify_many, [slow] * 20) for client in clients]
        _wait_until(lambda: _value(server, "cnnsvc_requests_in_flight") == 4)
        server.process.terminate()
        assert [call.result().status_code for call in calls] == [200, 200]
        assert [len(call.result()) for call in grpc_calls] == [20, 20]
        assert server.process.wait(timeout=60) == 0
        _close(connections)
        for client in clients:
            client.close()
    assert server.log[-1].rstrip().endswith("stopped")
    assert not any(_is_alive(pid) for pid in pids)


def test_a_second_signal_ends_at_once(models_dir: Path) -> None:
    """Whoever cannot wait for the calls in flight need not."""
    slow = encode("PNG", scene(1500, 1500))
    with _workers(models_dir) as server, ThreadPoolExecutor(1) as threads:
        pids = _pids(server)
        call = threads.submit(
            httpx.post, f"{server.http_url}/api/v1/classify", files=[(str(n), slow) for n in range(100)], timeout=60
        )
        _wait_until(lambda: _value(server, "cnnsvc_requests_in_flight") == 1)
        server.process.send_signal(signal.SIGINT)
        _wait_until(lambda: "stopping" in "".join(server.log))
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(timeout=10) == 130
        assert isinstance(call.exception(), httpx.TransportError)
    assert not any(_is_alive(pid) for pid in pids)


def test_workers_end_with_their_supervisor(models_dir: Path, tmp_path: Path) -> None:
    """When it is killed they drain by themselves: nothing is left on the ports, and a new start has a clean folder."""
    with _workers(models_dir, "--state-dir", tmp_path) as server:
        pids = _pids(server)
        server.process.kill()
        _wait_until(lambda: not any(_is_alive(pid) for pid in pids))
        for address in (server.grpc_address, server.http_url):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=5)
    with _workers(models_dir, "--state-dir", tmp_path) as server:
        assert _value(server, "cnnsvc_request_duration_seconds_count") == 0


@pytest.mark.parametrize("num_workers", [1, 2])
@pytest.mark.parametrize("door", ["http", "grpc"])
def test_a_port_in_use_is_an_error_not_a_share(server: Server, models_dir: Path, door: str, num_workers: int) -> None:
    """A second service gets no port of a first one that has workers, with workers of its own or without."""
    port = (server.grpc_address if door == "grpc" else server.http_url).rpartition(":")[2]
    other = "http" if door == "grpc" else "grpc"
    words = ("--models-dir", models_dir, f"--{door}-port", port, f"--{other}-port", 0, "--workers", num_workers)
    ended = _run(*words)
    assert ended.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_port_of_a_single_process_is_not_shared(models_dir: Path) -> None:
    """Nor do workers join a server that runs without."""
    with serving("--models-dir", models_dir) as single:
        port = single.http_url.rpartition(":")[2]
        ended = _run("--models-dir", models_dir, "--http-port", port, "--grpc-port", 0, "--workers", 2)
    assert (ended.returncode, ended.stderr) == (
        2,
        f"cnnsvc: HTTP cannot listen on 127.0.0.1:{port}: Address already in use\n",
    )


def test_one_worker_is_a_single_process(models_dir: Path, tmp_path: Path) -> None:
    """It has no supervisor and no number in its log; what it leaves in its state folder is for its next start alone."""
    with serving("--models-dir", models_dir, "--workers", 1, "--state-dir", tmp_path) as server:
        assert not _pids(server)
        assert _value(server, "cnnsvc_workers") == 1
        assert _value(server, "cnnsvc_worker_restarts_total") == 0
    assert "worker=" not in "".join(server.log)
    assert {path.name for path in tmp_path.iterdir()} == {"lock", "state.json", "state.lock"}


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_bundle_that_is_refused_ends_the_start(tmp_path: Path, log_format: str) -> None:
    """The reason is told once, with the exit status of a single process, and nothing is tried again."""
    path = write_bundle(tmp_path)
    (path / "model.onnx").write_bytes(b"damaged")
    ended = _run("--bundle", path, "--grpc-port", 0, "--http-port", 0, "--workers", 2, "--log-format", log_format)
    assert ended.returncode == 1
    assert ended.stderr.count("model.onnx has SHA-256") == 1
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("cnnsvc: ") if log_format == "text" else json.loads(last)["level"] == "CRITICAL"
    assert "Traceback" not in ended.stderr


def test_a_replacement_that_is_refused_leaves_the_others(tmp_path: Path) -> None:
    """A bundle that went bad while it is served costs the worker that ends, and the service goes on."""
    path = write_bundle(tmp_path)
    with serving("--bundle", path, "--workers", 2, until="all 2 workers serve") as server:
        (path / "model.onnx").write_bytes(b"damaged")
        victim = min(_pids(server))
        os.kill(victim, signal.SIGKILL)
        _wait_until(lambda: "model.onnx has SHA-256" in "".join(server.log))
        for _ in range(10):
            assert httpx.post(f"{server.http_url}/api/v1/classify", content=IMAGE).status_code == 200
        assert _value(server, "cnnsvc_workers") == 1
        server.process.terminate()
        assert server.process.wait(timeout=30) == 0


def test_lines_name_their_worker(models_dir: Path, tmp_path: Path) -> None:
    """Every line of a worker is JSON with its number; those of the supervisor have none of their own."""
    with _workers(models_dir, "--log-format", "json", "--state-dir", tmp_path / "state") as server:
        assert (tmp_path / "state" / "metrics").is_dir()
    assert not (tmp_path / "state" / "metrics").exists()
    lines = [json.loads(line) for line in server.log]
    ready = [line["worker"] for line in lines if line["message"] == "ready"]
    assert sorted(ready) == [0, 1]
    assert {line["logger"] for line in lines if "worker" not in line} == {"cnnsvc.serve", "cnnsvc.supervisor"}


class _Watch:
    """Calls one connection and scrapes the service without a pause, in a thread."""

    def __init__(self, server: Server, client: httpx.Client) -> None:
        self.num_calls = 0
        self.counts: list[float] = []
        self._server, self._client = server, client
        self._is_over = threading.Event()
        self._errors: list[Exception] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        self._thread.join()
        assert not self._errors

    def _run(self) -> None:
        try:
            while not self._is_over.is_set():
                assert _classify(self._client, self._server) == 200
                self.num_calls += 1
                with contextlib.suppress(httpx.TransportError):  # a new connection may be given to the one that dies
                    self.counts.append(_value(self._server, "cnnsvc_request_duration_seconds_count", method="classify"))
        except Exception as error:  # told by the test's own thread
            self._errors.append(error)


def _run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(CNNSVC), "serve", *map(str, arguments)], capture_output=True, text=True, timeout=60)


def _pids(server: Server) -> set[int]:
    """The workers that live: children of the supervisor that are no zombies."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text()
    return {int(pid) for pid in children.split() if _is_alive(int(pid))}


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _connections(server: Server) -> dict[int, httpx.Client]:
    """An open HTTP connection to each worker, by its process."""
    found: dict[int, httpx.Client] = {}
    for _ in range(100):
        client = httpx.Client()
        client.get(f"{server.http_url}/livez")
        pid = _peer(client, server)
        if found.setdefault(pid, client) is not client:
            client.close()
        if len(found) == 2:
            return found
    raise AssertionError(f"100 connections reached only {list(found)}")


def _close(connections: dict[int, httpx.Client]) -> None:
    for client in connections.values():
        client.close()


def _connect_and_call(server: Server) -> int:
    """The process that answered a call on a connection of its own."""
    with httpx.Client() as client:
        assert _classify(client, server) == 200
        return _peer(client, server)


def _classify(client: httpx.Client, server: Server) -> int:
    return client.post(f"{server.http_url}/api/v1/classify", content=IMAGE).status_code


def _peer(client: httpx.Client, server: Server) -> int:
    """The process that holds the other end of the client's connection: who has the socket that /proc/net/tcp names."""
    (connection,) = client._transport._pool.connections  # type: ignore[attr-defined]  # httpx shows its socket nowhere
    own_port = connection._connection._network_stream.get_extra_info("client_addr")[1]
    server_port = int(server.http_url.rpartition(":")[2])
    wanted = re.compile(rf"^\s*\d+: \w+:{server_port:04X} \w+:{own_port:04X} 01 (?:\S+ +){{5}}(\d+)", re.MULTILINE)
    match = wanted.search(Path("/proc/net/tcp").read_text())
    assert match, "no such connection"
    for pid in _pids(server):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                if entry.readlink().name == f"socket:[{match[1]}]":
                    return pid
    raise AssertionError("no worker has it")


def _value(server: Server, name: str, **labels: str) -> float:
    """The sum of the samples of that name with those labels."""
    text = httpx.get(f"{server.http_url}/metrics").text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def _seconds_to_serve_again(server: Server) -> float:
    """As the log tells it."""
    found = re.findall(r"serves again after ([\d.]+) s", "".join(server.log))
    assert len(found) == 1
    return float(found[0])


def _wait_until(is_so: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < give_up, "it did not become so"
        time.sleep(0.02)
