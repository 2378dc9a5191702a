"""How a server ends: told first, nothing lost, never later than promised, at once where asked twice."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench import shutdown
from cnnsvc.client import Client
from cnnsvc.pb import classifier_pb2 as pb
from tests.bundles import write_bundle
from tests.e2e.server import Server, serving
from tests.encoded import encode, scene

pytestmark = pytest.mark.slow
IMAGE = encode("JPEG")
SLOW_FILES = [("image", encode("PNG", scene(1500, 1500)))] * 100


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_bundle(folder)
    return folder


@pytest.mark.parametrize("num_processes", [1, 2])
def test_nothing_is_lost_under_load(num_processes: int) -> None:
    """Of all requests whose connection was made each is answered, on both doors; streams are told what to repeat."""
    outcome = shutdown.run(num_processes, num_rounds=4)
    assert not outcome.lost
    assert outcome.num_answered_after > 50
    assert all(outcome.answered[which] > 100 for which in ("http", "grpc", "stream"))
    assert max(outcome.seconds) < 20


@pytest.mark.parametrize("num_processes", [1, 2])
def test_in_the_pause_callers_are_answered_and_told(models_dir: Path, num_processes: int) -> None:
    """Readiness says no at once on both doors, and calls and new connections are served until the pause is over."""
    words = ("--models-dir", models_dir, "--shutdown-pause-ms", 2000, "--workers", num_processes)
    until = " ready" if num_processes == 1 else "workers serve"
    with serving(*words, until=until) as server, httpx.Client(base_url=server.http_url) as client:
        assert "connection" not in client.post("/api/v1/classify", content=IMAGE).headers
        with Client(server.grpc_address) as grpc_client:
            signalled = time.monotonic()
            server.process.terminate()
            while (ready := client.get("/readyz")).status_code == 200:
                assert time.monotonic() < signalled + 1
            assert ready.json() == {"ready": False, "reasons": ["the server is stopping"], "warnings": []}
            assert _health(server) == health_pb2.HealthCheckResponse.NOT_SERVING
            while time.monotonic() < signalled + 1.7:
                answer = client.post("/api/v1/classify", content=IMAGE)
                assert (answer.status_code, answer.headers["connection"]) == (200, "close")
                grpc_client.classify(IMAGE)
                time.sleep(0.05)
            assert server.process.wait(timeout=30) == 0
            assert time.monotonic() > signalled + 2


def test_calls_past_the_grace_are_told_why(models_dir: Path) -> None:
    """Both doors answer not ready for what could not be finished in time, and the server ends with status 0."""
    words = ("--models-dir", models_dir, "--shutdown-grace-ms", 1000)
    with serving(*words) as server, ThreadPoolExecutor(2) as threads:
        http = threads.submit(httpx.post, f"{server.http_url}/api/v1/classify", files=SLOW_FILES, timeout=60)
        with grpc.insecure_channel(server.grpc_address) as channel:
            images = pb.ClassifyRequest(images=[image for _, image in SLOW_FILES]).SerializeToString()
            classify: Any = channel.unary_unary("/cnnsvc.v1.Classifier/Classify")
            call = classify.future(images)
            _until_in_flight(server, "http")
            _until_in_flight(server, "grpc")
            started = time.monotonic()
            server.process.terminate()
            assert server.process.wait(timeout=30) == 0
            assert time.monotonic() < started + 6
            assert call.code() is grpc.StatusCode.UNAVAILABLE
            assert "the server is stopping" in call.details()
        answer = http.result()
        assert (answer.status_code, answer.json()["kind"]) == (503, "not_ready")


def test_watchers_do_not_hold_the_server(models_dir: Path) -> None:
    """A client that watches the health for ever is told, and ended long before the grace is over."""
    with serving("--models-dir", models_dir) as server, grpc.insecure_channel(server.grpc_address) as channel:
        watch = _health_stub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        started = time.monotonic()
        server.process.terminate()
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert server.process.wait(timeout=30) == 0
        assert time.monotonic() < started + 8


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(models_dir: Path, number: signal.Signals) -> None:
    """In the pause or in the grace, a single process too ends with status 130 for whoever cannot wait."""
    for words in (("--shutdown-pause-ms", 60_000), ()):
        with serving("--models-dir", models_dir, *words) as server, ThreadPoolExecutor(1) as threads:
            call = threads.submit(httpx.post, f"{server.http_url}/api/v1/classify", files=SLOW_FILES, timeout=60)
            _until_in_flight(server, "http")
            server.process.send_signal(signal.SIGTERM)
            while "stopping" not in "".join(server.log):
                time.sleep(0.01)
            server.process.send_signal(number)
            assert server.process.wait(timeout=5) == 130
            assert isinstance(call.exception(), httpx.TransportError)
        assert "calls in flight are lost" in server.log[-1]


async def test_slow_clients_disturb_nobody(models_dir: Path) -> None:
    """1000 silent connections and 200 that send their heads in drops change no latency, and are closed in time."""
    with serving("--models-dir", models_dir, "--http-head-timeout-ms", 4000) as server:
        host, _, port = server.http_url.removeprefix("http://").rpartition(":")
        alone = await _median_seconds(server)
        opened = [await asyncio.open_connection(host, int(port)) for _ in range(1200)]
        connected_at = time.monotonic()
        async with _drops([writer for _, writer in opened[:200]]):
            beside = await _median_seconds(server)
            print(f"median {1000 * alone:.2f} ms alone, {1000 * beside:.2f} ms beside")  # noqa: T201  # shown by pytest -s
            assert beside < 2 * alone + 0.002
            answers = await asyncio.wait_for(asyncio.gather(*(reader.read() for reader, _ in opened)), 10)
        assert time.monotonic() < connected_at + 8
        assert all(answer.startswith(b"HTTP/1.1 408 ") for answer in answers[:200])
        assert set(answers[200:]) == {b""}
        for _, writer in opened:
            writer.close()


@contextlib.asynccontextmanager
async def _drops(writers: list[asyncio.StreamWriter]) -> AsyncIterator[None]:
    """Heads that get a little longer all the time, meanwhile."""
    dropping = asyncio.create_task(_send_in_drops(writers))
    yield
    dropping.cancel()


async def _send_in_drops(writers: list[asyncio.StreamWriter]) -> None:
    for writer in writers:
        writer.write(b"POST /api/v1/classify HTTP/1.1\r\n")
    while True:
        for writer in writers:
            writer.write(b"X-Drop: drop\r\n")
        await asyncio.sleep(0.2)


async def _median_seconds(server: Server) -> float:
    """Of 200 calls, one after the other, on one connection."""
    seconds = []
    async with httpx.AsyncClient(base_url=server.http_url) as client:
        for _ in range(200):
            started = time.monotonic()
            assert (await client.post("/api/v1/classify", content=IMAGE)).status_code == 200
            seconds.append(time.monotonic() - started)
    return sorted(seconds)[100]


def _health(server: Server) -> int:
    with grpc.insecure_channel(server.grpc_address) as channel:
        return int(_health_stub(channel).Check(health_pb2.HealthCheckRequest()).status)


def _health_stub(channel: grpc.Channel) -> Any:
    return health_pb2_grpc.HealthStub(channel)


def _until_in_flight(server: Server, protocol: str) -> None:
    give_up = time.monotonic() + 10
    sample = f'cnnsvc_requests_in_flight{{protocol="{protocol}"}} 1.0'
    while sample not in httpx.get(f"{server.http_url}/metrics").text:
        assert time.monotonic() < give_up, f"no {sample} within 10 s"
        time.sleep(0.01)
