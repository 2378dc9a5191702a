"""A real Prometheus scrapes a live server and answers what an operator asks it."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from cnnsvc.client import Client
from tests.bundles import write_bundle
from tests.deploy.programs import require
from tests.e2e.server import Server, serving
from tests.encoded import encode

pytestmark = pytest.mark.slow

DEPLOY = Path(__file__).parents[2] / "deploy"
P99 = """
histogram_quantile(0.99, sum by (model, version, le) (
  rate(cnnsvc_request_duration_seconds_bucket{method="classify", code="ok"}[30s])
))
"""


@dataclass(frozen=True)
class Watched:
    """A server with two models, and the Prometheus that scrapes it."""

    server: Server
    prometheus_url: str

    def query(self, promql: str) -> list[dict[str, Any]]:
        """The samples of an instant query. Raises AssertionError where Prometheus refuses it."""
        answer = httpx.get(f"{self.prometheus_url}/api/v1/query", params={"query": promql}).json()
        assert answer["status"] == "success", f"{promql}: {answer}"
        return list(answer["data"]["result"])


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Two versions of one model and one of another; calls have come before the first scrapes and between them."""
    folder = tmp_path_factory.mktemp("watched")
    for name in ("flowers", "flowers", "trees"):
        write_bundle(folder / "models", name)
    with serving("--models-dir", folder / "models") as server:
        _call(server)
        with _prometheus(folder, server) as url:
            watched = Watched(server, url)
            _wait_for_scrapes(watched, 1)
            _call(server)
            _wait_for_scrapes(watched, 3)
            yield watched


def test_p99_by_model_and_version(watched: Watched) -> None:
    """One PromQL query gives the 99th percentile of each version that serves, in seconds that can be true."""
    samples = watched.query(P99)
    found = {(s["metric"]["model"], s["metric"]["version"]): float(s["value"][1]) for s in samples}
    assert set(found) == {("flowers", "2"), ("trees", "1")}
    assert all(0 < seconds < 10 for seconds in found.values()), found


def test_the_counts_are_those_of_the_calls(watched: Watched) -> None:
    """What Prometheus stored is what was asked: twice 10 calls for each model and protocol, and a failure."""
    calls = 'sum by (model, protocol, code) (cnnsvc_request_duration_seconds_count{method="classify"})'
    found = {
        (s["metric"].get("model", ""), s["metric"]["protocol"], s["metric"]["code"]): float(s["value"][1])
        for s in watched.query(calls)
    }
    for protocol in ("grpc", "http"):
        for model in ("flowers", "trees"):
            assert found[model, protocol, "ok"] == 20
    assert sum(count for (_, _, code), count in found.items() if code == "invalid") == 2


def test_every_query_of_the_dashboard_has_an_answer(watched: Watched) -> None:
    """Prometheus reads each query of the Grafana board and finds series for it: every metric and label in it exists."""
    panels = json.loads((DEPLOY / "grafana" / "dashboards" / "cnnsvc.json").read_text())["panels"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    assert len(queries) > 10
    for query in queries:
        filled = query.replace("$__rate_interval", "30s").replace("$model", ".*")
        assert watched.query(filled), f"no series for {filled}"


def test_promtool_has_nothing_to_say_about_the_metrics(watched: Watched) -> None:
    """promtool check metrics, on /metrics of a live server: names, units, types and help texts."""
    exposition = httpx.get(f"{watched.server.http_url}/metrics", headers={"Accept": "text/plain"}).text
    words = [require("promtool", "prometheus"), "check", "metrics"]
    checked = subprocess.run(words, input=exposition, capture_output=True, text=True, timeout=60)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def _call(server: Server) -> None:
    """10 calls for each model over each protocol, of 10 images over HTTP, and one HTTP call that fails."""
    for model in ("flowers", "trees"):
        client = Client(server.grpc_address, model=model)
        for seed in range(10):
            image = encode("PNG", seed=seed)
            client.classify(image)
            files = [("image", image)] * 10  # so many that drift has a PSI
            answer = httpx.post(f"{server.http_url}/api/v1/classify", params={"model": model}, files=files)
            assert answer.status_code == 200
        client.close()
    refused = httpx.post(f"{server.http_url}/api/v1/classify", params={"model": "flowers"}, content=b"no image")
    assert refused.status_code == 400


@contextmanager
def _prometheus(folder: Path, server: Server) -> Iterator[str]:
    """Its URL; it runs with our prometheus.yml, in which only addresses and the interval are others."""
    program = require("prometheus", "prometheus")
    port = _free_port()
    text = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    for ours, other in (
        ("cnnsvc:8501", server.http_url.removeprefix("http://")),
        ("localhost:9090", f"127.0.0.1:{port}"),
        ("scrape_interval: 10s", "scrape_interval: 1s"),
        ("scrape_timeout: 5s", "scrape_timeout: 1s"),
    ):
        assert ours in text
        text = text.replace(ours, other)
    configuration = folder / "prometheus.yml"
    configuration.write_text(text)
    words = [program, f"--config.file={configuration}", f"--storage.tsdb.path={folder / 'prometheus'}"]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen([*words, f"--web.listen-address=127.0.0.1:{port}"], stderr=log, stdout=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=60)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _wait_for_scrapes(watched: Watched, number: int) -> None:
    """Until that many more scrapes of the server have succeeded, 60 s at most."""
    give_up = time.monotonic() + 60
    goal: float | None = None
    while True:
        assert time.monotonic() < give_up, f"no {number} scrapes within 60 s"
        try:
            samples = watched.query('count_over_time(up{job="cnnsvc"}[10m])')
        except (httpx.TransportError, json.JSONDecodeError):  # it is still starting
            samples = []
        count = float(samples[0]["value"][1]) if samples else 0.0
        goal = goal or count + number
        if samples and count >= goal:
            return
        time.sleep(0.2)
