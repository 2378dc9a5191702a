"""`cnnsvc bench` against a real server."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bundles import write_bundle
from tests.e2e.server import CNNSVC, Server, serving
from tests.encoded import encode

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    models = tmp_path_factory.mktemp("models")
    write_bundle(models)
    with serving("--models-dir", models) as server:
        yield server


def _bench(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(CNNSVC), "bench", *map(str, words)], capture_output=True, text=True, timeout=60)


def _report(*words: object) -> Any:
    finished = _bench(*words, "--json", "--duration-seconds", 1, "--warm-up-seconds", 0.2)
    assert (finished.returncode, finished.stderr) == (0, "")
    return json.loads(finished.stdout)


@pytest.mark.parametrize("protocol", ["http", "grpc", "stream"])
def test_every_protocol_is_measured(server: Server, protocol: str) -> None:
    """A row for each concurrency with rate, rising percentiles and the server's own times."""
    url = server.http_url if protocol == "http" else f"grpc://{server.grpc_address}"
    report = _report(url, *(["--stream"] if protocol == "stream" else []), "--concurrency", "1,4", "--top-k", 1)
    assert (report["protocol"], report["model"], report["version"]) == (protocol, "flowers", 1)
    assert [run["concurrency"] for run in report["runs"]] == [1, 4]
    for run in report["runs"]:
        assert run["num_failed"] == 0
        assert run["num_answered"] == pytest.approx(run["images_per_second"], rel=0.2, abs=8)
        latencies = [run["latency_ms"][name] for name in ("p50", "p90", "p99", "p99_9", "max")]
        assert latencies == sorted(latencies)
        assert 0 < run["server_median_ms"]["total"] <= latencies[1]
        assert 0 < run["client_cpu_share"] < 4


def test_a_rate_is_offered(server: Server) -> None:
    """As many requests a second as asked for, where the server keeps up."""
    (run,) = _report(server.http_url, "--rate", 40)["runs"]
    assert run["num_answered"] + run["num_unsent"] == 40


def test_images_of_a_folder_and_a_picture(server: Server, tmp_path: Path) -> None:
    """A person sees the tables, and has them as a picture."""
    for index in range(3):
        (tmp_path / f"{index}.png").write_bytes(encode("PNG", seed=index))
    finished = _bench(server.http_url, tmp_path, "--max-requests", 30, "--svg", tmp_path / "report.svg")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert "flowers version 1" in finished.stdout
    assert "3 images" in finished.stdout
    assert "<svg" in (tmp_path / "report.svg").read_text(encoding="utf-8")


def test_bad_images_are_failures(server: Server, tmp_path: Path) -> None:
    """One bad image among good ones is counted with its reason, and the status is 1."""
    (tmp_path / "a.png").write_bytes(encode("PNG"))
    (tmp_path / "b.png").write_bytes(b"hello")
    finished = _bench(server.http_url, tmp_path, "--max-requests", 20, "--warm-up-seconds", 0, "--concurrency", 1)
    assert finished.returncode == 1
    assert "1 at once: 10 failed, 400 invalid: not an image: 5 bytes" in finished.stdout
    assert finished.stderr == "cnnsvc: 10 of 20 requests failed\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["http://127.0.0.1:1"], "127.0.0.1:1 does not answer: Connection refused; start a server with cnnsvc serve"),
        (["grpc://127.0.0.1:1", "--stream"], "start a server with cnnsvc serve"),
        (["http://{grpc}"], "does not answer in HTTP"),
        (["{http}", "--model", "roses"], "a first request failed: model 'roses' is not served; served are flowers"),
        (["grpc://{grpc}", "--stream", "--top-k", "9"], "top_k is 9; allowed are 1 to 3"),
        (["{http}", "nowhere.jpg"], "nowhere.jpg is not there"),
    ],
)
def test_wrong_calls_end_with_status_2(server: Server, words: list[str], message: str) -> None:
    """One line says what is wrong, before any load."""
    finished = _bench(*(word.format(http=server.http_url, grpc=server.grpc_address) for word in words))
    assert (finished.returncode, finished.stdout) == (2, "")
    assert message in finished.stderr
    assert len(finished.stderr.splitlines()) == 1
