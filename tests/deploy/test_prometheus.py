"""A real Prometheus scrapes a live server and answers what an operator asks it."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from cnnsvc.client import Client
from service.access import Scope
from tests.bundles import write_bundle
from tests.deploy.dashboard import queries
from tests.deploy.programs import require
from tests.deploy.prometheus import Prometheus, prometheus
from tests.deploy.rules import alerts, expressions, records
from tests.e2e.server import Server, serving
from tests.encoded import encode
from tests.service.serving import falsify_golden_answers
from tests.tokens import TokenFiles, write_tokens

pytestmark = pytest.mark.slow

P99 = """
histogram_quantile(0.99, sum by (model, version, le) (
  rate(cnnsvc_request_duration_seconds_bucket{method="classify", code="ok"}[30s])
))
"""


@dataclass(frozen=True)
class Watched:
    """A server with two models, and the Prometheus that scrapes it."""

    server: Server
    prometheus: Prometheus


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Two versions of one model, the newer with a label, and of another a newer one that is refused.

    Calls have come before the first scrapes and between them.
    """
    folder = tmp_path_factory.mktemp("watched")
    for name in ("flowers", "flowers", "trees"):
        write_bundle(folder / "models", name)
    falsify_golden_answers(write_bundle(folder / "models", "trees"))
    tokens = write_tokens(folder, Scope.ADMIN)
    with serving("--models-dir", folder / "models", *tokens.only_for_admin) as server:
        _set_label(server, tokens, "flowers", "canary", 2)
        _call(server)
        with prometheus(folder, server.http_url) as scraping:
            scraping.wait_for_scrapes(1)
            _call(server)
            scraping.wait_for_scrapes(3)
            scraping.wait_until(lambda: "CnnsvcVersionRefused" in scraping.firing(), "an alert fires")
            yield Watched(server, scraping)


def test_p99_by_model_and_version(watched: Watched) -> None:
    """One PromQL query gives the 99th percentile of each version that serves, in seconds that can be true."""
    samples = watched.prometheus.query(P99)
    found = {(s["metric"]["model"], s["metric"]["version"]): float(s["value"][1]) for s in samples}
    assert set(found) == {("flowers", "2"), ("trees", "1")}
    assert all(0 < seconds < 10 for seconds in found.values()), found


def test_the_counts_are_those_of_the_calls(watched: Watched) -> None:
    """What Prometheus stored is what was asked: twice 10 calls for each model and protocol, and a failure."""
    calls = 'sum by (model, protocol, code) (cnnsvc_request_duration_seconds_count{method="classify"})'
    found = {
        (s["metric"].get("model", ""), s["metric"]["protocol"], s["metric"]["code"]): float(s["value"][1])
        for s in watched.prometheus.query(calls)
    }
    for protocol in ("grpc", "http"):
        for model in ("flowers", "trees"):
            assert found[model, protocol, "ok"] == 20
    assert sum(count for (_, _, code), count in found.items() if code == "invalid") == 2


def test_every_query_of_the_dashboard_has_an_answer(watched: Watched) -> None:
    """Prometheus reads each query of the Grafana board and finds series for it: every metric and label in it exists."""
    assert len(queries()) > 30
    for query in queries():
        filled = query.replace("$__rate_interval", "1m").replace("$__range", "1m").replace("$model", ".*")
        assert watched.prometheus.query(filled), f"no series for {filled}"


def test_every_rule_is_evaluated(watched: Watched) -> None:
    """Prometheus evaluates each rule without an error, and each recording rule gives series."""
    found = watched.prometheus.rules()
    assert len(found) == len(records()) + len(alerts())
    assert [rule for rule in found if rule["health"] != "ok"] == []
    assert [record for record in records() if not watched.prometheus.query(record)] == []


def test_what_is_well_alarms_nobody(watched: Watched) -> None:
    """Of a server that answers, with callers' mistakes and a version that is refused, that version alone is told."""
    assert set(watched.prometheus.firing()) == {"CnnsvcVersionRefused"}


def test_every_metric_of_the_rules_exists(watched: Watched) -> None:
    """A live server shows each metric that a rule speaks of, or another rule records it."""
    exposition = httpx.get(f"{watched.server.http_url}/metrics", headers={"Accept": "text/plain"}).text
    families = list(text_string_to_metric_families(exposition))
    known = {sample.name for family in families for sample in family.samples} | {family.name for family in families}
    used = {name for expression in expressions() for name in re.findall(r"[a-z_:0-9]*cnnsvc[a-z_:0-9]+", expression)}
    assert len(used) > 20
    assert used <= known | set(records())


def test_promtool_has_nothing_to_say_about_the_metrics(watched: Watched) -> None:
    """promtool check metrics, on /metrics of a live server: names, units, types and help texts."""
    exposition = httpx.get(f"{watched.server.http_url}/metrics", headers={"Accept": "text/plain"}).text
    words = [require("promtool", "prometheus"), "check", "metrics"]
    checked = subprocess.run(words, input=exposition, capture_output=True, text=True, timeout=60)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def _set_label(server: Server, tokens: TokenFiles, model: str, label: str, version: int) -> None:
    url = f"{server.http_url}/api/v1/admin/models/{model}/labels/{label}"
    answer = httpx.put(url, json={"version": version}, headers=tokens.headers)
    assert answer.status_code == 200, answer.text


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
