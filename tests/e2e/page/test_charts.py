"""The charts of the page at /, and the arithmetic behind them."""

import json
import math
import subprocess
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest

from service.metrics import Metrics, ObservedRequest
from tests.browser import Page
from tests.deploy.programs import require
from tests.e2e.page.visitor import Visitor, visited
from tests.encoded import encode

pytestmark = pytest.mark.slow

COUNTS = [[1, 4, 10, 20, 20], [0, 0, 0, 0, 3], [100, 100, 100, 100, 100], [0, 7, 7, 90, 91], [50, 98, 99, 99, 100]]
"""Calls below each bound: spread, beyond the last bound, in the first bucket, with empty ones, few at the end."""


def test_charts_under_load(tab: Page, models_dir: Path) -> None:
    """Calls, latencies and refusals of other callers show themselves as lines and figures, and their end does too."""
    values = "[...document.querySelectorAll('.chart dd')].map(one => one.innerText)"
    has_ended = threading.Event()

    def load(url: str) -> None:
        with httpx.Client(base_url=url) as client:
            while not has_ended.wait(0.02):
                client.post("/api/v1/classify", content=encode("PNG"))
                client.post("/api/v1/classify", content=b"x" * 20_000)

    with visited(tab, models_dir, "--body-limit-bytes", 10_000) as (visitor, server):
        caller = threading.Thread(target=load, args=(server.http_url,))
        caller.start()
        try:
            visitor.come()
            visitor.page.wait_for("document.querySelector('.line').getAttribute('d').includes('L')")
            calls, p50, p99, refusals = visitor.page.evaluate(values)
        finally:
            has_ended.set()
            caller.join()
        assert 4 < float(calls) < 100
        assert float(refusals) == pytest.approx(float(calls) / 2, rel=0.2)
        assert p50.endswith(" ms")
        assert 0 < float(p50.split()[0]) <= float(p99.split()[0]) * (1000 if p99.endswith(" s") else 1)
        for index in range(4):
            assert "L" in visitor.page.evaluate(f"document.querySelectorAll('.line')[{index}].getAttribute('d')")
        label = visitor.page.evaluate("document.querySelector('.chart svg').getAttribute('aria-label')")
        assert label.startswith("Calls a second: ")
        visitor.page.wait_for(f"JSON.stringify({values}) === JSON.stringify(['0', '–', '–', '0'])")


def test_quantiles_are_those_of_prometheus(visitor: Visitor, tmp_path: Path) -> None:
    """Prometheus itself computes the same quantiles from the same buckets, the ends of a histogram included."""
    promtool = require("promtool", "prometheus")
    bounds = [0.1, 0.5, 1.0, 2.5, math.inf]
    cases = [(quantile, counts) for quantile in (0.5, 0.99) for counts in COUNTS]
    visitor.come()
    tests = []
    for quantile, counts in cases:
        buckets = list(zip(map(_bound, bounds), counts, strict=True))
        samples = [{"labels": {"le": bound}, "value": count} for bound, count in buckets]
        ours = _figure(visitor, f"histogramQuantile({quantile}, {json.dumps(samples)})")
        series = [{"series": f'calls_bucket{{le="{bound}"}}', "values": str(count)} for bound, count in buckets]
        query = {"expr": f"histogram_quantile({quantile}, calls_bucket)", "eval_time": "0s"}
        tests.append({"input_series": series, "promql_expr_test": [query | {"exp_samples": [{"value": ours}]}]})
    file = tmp_path / "tests.json"  # which YAML contains
    file.write_text(json.dumps({"tests": tests}))
    finished = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, timeout=60)
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_quantiles_of_nothing(visitor: Visitor) -> None:
    """Where nothing was counted there is no quantile, and none is invented."""
    visitor.come()
    empty = [{"labels": {"le": bound}, "value": 0} for bound in ("1", "+Inf")]
    assert _figure(visitor, f"String(histogramQuantile(0.5, {json.dumps(empty)}))") == "NaN"
    assert _figure(visitor, "String(histogramQuantile(0.5, []))") == "NaN"


def test_samples_are_read(visitor: Visitor) -> None:
    """Names, labels with every escape, braces and commas, and values are those that Prometheus' own library wrote."""
    registry = CollectorRegistry()
    counter = Counter("calls", 'Of "all" {kinds}', ["class", "code"], registry=registry)
    odd = 'a "b" \\ c}\n{d="e", f'
    counter.labels(odd, "ok").inc(3)
    counter.labels("", "late").inc(1.5e10)
    visitor.come()
    text = json.dumps(generate_latest(registry).decode())
    found = _figure(visitor, f"[...parse({text}, ['calls_total']).values()]")
    assert found == [
        {"name": "calls_total", "labels": {"class": odd, "code": "ok"}, "value": 3},
        {"name": "calls_total", "labels": {"class": "", "code": "late"}, "value": 1.5e10},
    ]


def test_increases(visitor: Visitor) -> None:
    """A counter grows by the difference; a new one began at 0, and so did one that fell, as after a restart."""
    visitor.come()
    scrapes = [json.dumps(f"a {a}\n{more}") for a, more in ((5, "b 7\n"), (9, "b 2\nc 4\n"))]
    names = "['a', 'b', 'c']"
    grown = f"increase(parse({scrapes[0]}, {names}), parse({scrapes[1]}, {names})).map(one => one.value)"
    assert _figure(visitor, grown) == [4, 2, 4]


def test_what_is_drawn(visitor: Visitor) -> None:
    """Between two scrapes only classifications count, failed ones too, but no failed one has a latency."""
    scrapes = []
    for at, calls in ((10, 0), (12, 6)):
        prometheus = CollectorRegistry()
        metrics = Metrics(prometheus, version="test")
        for method, code, seconds in [
            ("classify", "ok", 0.0035),
            ("classify_stream", "ok", 0.0035),
            ("classify", "overloaded", 20.0),
            ("list_models", "ok", 20.0),
        ]:
            for _ in range(calls):
                metrics.call_ended("http", method, ObservedRequest(code=code), seconds)
        scrapes.append((at, generate_latest(prometheus).decode()))
    visitor.come()
    series = [f"{{at: {at}, series: parse({json.dumps(text)}, NAMES)}}" for at, text in scrapes]
    names = [f"cnnsvc_{name}" for name in ("request_duration_seconds_count", "request_duration_seconds_bucket")]
    figures = visitor.page.evaluate(f"""(async () => {{
        const {{ parse }} = await import('/page/prometheus.js');
        const {{ figuresBetween }} = await import('/page/live.js');
        const NAMES = {json.dumps([*names, "cnnsvc_rejected_total"])};
        return figuresBetween({series[0]}, {series[1]});
    }})()""")
    assert figures == {"calls": 9, "p50": pytest.approx(3.5), "p99": pytest.approx(3.99), "refusals": 3}


def _bound(value: float) -> str:
    return "+Inf" if value == math.inf else str(value)


def _figure(visitor: Visitor, expression: str) -> Any:
    """The value of an expression that uses the module of the page."""
    names = "{ histogramQuantile, increase, parse }"
    return visitor.page.evaluate(f"import('/page/prometheus.js').then(({names}) => {expression})")
