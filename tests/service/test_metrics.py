"""Every metric by name and label, failures included."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from cnnsvc.errors import Kind, OverloadedError
from service.metrics import BUCKETS_SCORE, Metrics
from tests.bundles import manifest_of
from tests.fakes import TRIALS


def _observed(error: BaseException | None) -> CollectorRegistry:
    registry = CollectorRegistry()
    metrics = Metrics(registry, version="1.2.3")
    try:
        with metrics.request("http", "classify") as observed:
            assert registry.get_sample_value("cnnsvc_requests_in_flight", {"protocol": "http"}) == 1
            if error:
                raise error
            observed.model, observed.version = "flowers", 3
    except (OverloadedError, asyncio.CancelledError, RuntimeError) as raised:
        if raised is not error:
            raise
    return registry


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, "ok"),
        (OverloadedError("full"), "overloaded"),
        (asyncio.CancelledError(), "cancelled"),
        (RuntimeError("?"), "internal"),
    ],
)
def test_calls_are_timed_with_their_outcome(error: BaseException | None, code: str) -> None:
    """Answers and failures are both observed, under what answered, and are no longer in flight."""
    registry = _observed(error)
    model, version = ("flowers", "3") if error is None else ("", "")
    labels = {"protocol": "http", "method": "classify", "model": model, "version": version, "code": code}
    assert registry.get_sample_value("cnnsvc_request_duration_seconds_count", labels) == 1
    assert registry.get_sample_value("cnnsvc_requests_in_flight", {"protocol": "http"}) == 0
    rejected = registry.get_sample_value("cnnsvc_rejected_total", {"reason": "overloaded"})
    assert rejected == (code == Kind.OVERLOADED)


def test_a_failed_call_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The error that ended a call is in the log with its own words, as what the metrics count."""
    with caplog.at_level("INFO"):
        _observed(OverloadedError("full"))
    assert [record.getMessage() for record in caplog.records] == ["classify over http failed: overloaded: full"]


def test_a_loaded_model_is_announced() -> None:
    """Info, queue depth, a counter for every class and the histograms are there before the first call."""
    registry = CollectorRegistry()
    metrics = Metrics(registry, version="1.2.3")
    metrics.add_model(manifest_of(), TRIALS, lambda: 7)
    model = {"model": "flowers", "version": "1"}
    info = {**model, "engine": "openvino", "artifact": "model.onnx", "network": "custom"}
    assert registry.get_sample_value("cnnsvc_model_info", info) == 1
    trial = {**model, "artifact": "model.onnx", "streams": "1", "batch_size": "1"}
    assert registry.get_sample_value("cnnsvc_engine_images_per_second", {**trial, "engine": "openvino"}) == 250
    assert registry.get_sample_value("cnnsvc_engine_images_per_second", {**trial, "engine": "onnxruntime"}) == 0
    assert registry.get_sample_value("cnnsvc_queue_depth", model) == 7
    assert registry.get_sample_value("cnnsvc_predictions_total", {**model, "class": "rose"}) == 0
    assert registry.get_sample_value("cnnsvc_batch_size_count", model) == 0
    assert registry.get_sample_value("cnnsvc_prediction_score_count", model) == 0


def test_scores_fall_into_the_bins_of_the_bundle() -> None:
    """Every edge of the manifest's ten bins of confidence is one of the histogram's, so the two can be compared."""
    num_bins = len(manifest_of().baseline.confidence_histogram)
    assert {(index + 1) / num_bins for index in range(num_bins)} <= set(BUCKETS_SCORE)


def test_what_is_asked_at_each_scrape() -> None:
    """Readiness and the images admitted are as they are when Prometheus looks, and the limit stands beside them."""
    registry = CollectorRegistry()
    metrics = Metrics(registry, version="1.2.3")
    assert registry.get_sample_value("cnnsvc_ready") == 0
    states = {"is_ready": False, "num_admitted": 3, "num_bytes": 5000}
    metrics.watch_readiness(lambda: bool(states["is_ready"]))
    metrics.watch_admission(lambda: states["num_admitted"], limit=512)
    metrics.watch_admitted_bytes(lambda: states["num_bytes"], limit=2**20)
    assert registry.get_sample_value("cnnsvc_ready") == 0
    states |= {"is_ready": True, "num_admitted": 4}
    assert registry.get_sample_value("cnnsvc_ready") == 1
    assert registry.get_sample_value("cnnsvc_images_admitted") == 4
    assert registry.get_sample_value("cnnsvc_images_admitted_limit") == 512
    assert registry.get_sample_value("cnnsvc_bytes_admitted") == 5000
    assert registry.get_sample_value("cnnsvc_bytes_admitted_limit") == 2**20


@pytest.mark.parametrize(
    ("accept", "content_type", "parse"),
    [
        ("", "text/plain", parse_text),
        ("application/openmetrics-text", "application/openmetrics-text", parse_openmetrics),
    ],
)
def test_a_scrape_gets_the_format_it_accepts(accept: str, content_type: str, parse: object) -> None:
    """Prometheus text and OpenMetrics both parse, and hold our metrics beside those of the process."""
    metrics = Metrics(CollectorRegistry(), version="1.2.3")
    body, found_type = metrics.exposition(accept)
    assert found_type.startswith(content_type)
    assert callable(parse)
    names = {family.name for family in parse(body.decode())}
    assert {"cnnsvc_build_info", "cnnsvc_request_duration_seconds", "process_resident_memory_bytes"} <= names
