"""What a scrape of one worker shows of all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, values
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from cnnsvc.errors import Fault
from service.drift import LEAST_IMAGES
from service.metrics import Metrics
from service.shared_metrics import SharedRegistry, forget_living
from tests.bundles import manifest_of
from tests.fakes import TRIALS

MODEL = {"model": "flowers", "version": "1"}
CALLS = {"protocol": "http", "method": "classify", "model": "", "version": "", "code": "ok"}


class Worker:
    """As a process of its own would count."""

    def __init__(self, folder: Path, index: int) -> None:
        self.registry = SharedRegistry(folder, index)
        self._value_class = values.ValueClass
        self.metrics = Metrics(self.registry, version="1.2.3")
        self.num_queued = 0
        self.is_ready = True
        self.metrics.watch_readiness(lambda: self.is_ready)
        self.metrics.watch_admission(lambda: self.num_queued, limit=512)
        self.model = self.metrics.add_model(manifest_of(), TRIALS, lambda: self.num_queued)
        self.metrics.workers.set(1)
        self.publish()

    def publish(self) -> None:
        values.ValueClass = self._value_class  # for series that begin now
        self.metrics.sample()
        self.registry.publish()

    @contextmanager
    def call(self) -> Iterator[None]:
        """As long as it takes; its series are this worker's own, whoever made the last registry."""
        values.ValueClass = self._value_class
        with self.metrics.request("http", "classify"):
            yield

    def answers(self, *classes: str) -> None:
        """LEAST_IMAGES of each class."""
        for name in classes * LEAST_IMAGES:
            self.model.drift.observe(name, 0.5, (0, 0, 0))

    def calls(self, number: int) -> None:
        for _ in range(number):
            with self.call():
                pass

    def sample(self, name: str, labels: dict[str, str] | None = None) -> float | None:
        return self.registry.get_sample_value(name, labels or {})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Whose files are closed, and the way of counting restored, on the way out."""
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    yield tmp_path
    values.close_all_multiprocess_files()


def test_counts_are_added_up(folder: Path) -> None:
    """Counters, histograms and what is in flight or waits are sums, whichever worker is asked."""
    first, second = Worker(folder, 0), Worker(folder, 1)
    first.calls(1)
    second.calls(2)
    first.num_queued, second.num_queued = 3, 4
    first.publish()
    second.publish()
    for worker in (first, second):
        assert worker.sample("cnnsvc_request_duration_seconds_count", CALLS) == 3
        assert worker.sample("cnnsvc_request_duration_seconds_bucket", {**CALLS, "le": "+Inf"}) == 3
        assert worker.sample("cnnsvc_requests_in_flight", {"protocol": "http"}) == 0
        assert worker.sample("cnnsvc_queue_depth", MODEL) == 7
        assert worker.sample("cnnsvc_images_admitted") == 7
        assert worker.sample("cnnsvc_images_admitted_limit") == 1024
        assert worker.sample("cnnsvc_workers") == 2


def test_what_is_so_is_not_added_up(folder: Path) -> None:
    """Information is 1, not the number of workers, and ready is what the least of them is."""
    first, second = Worker(folder, 0), Worker(folder, 1)
    info = {**MODEL, "engine": "openvino", "artifact": "model.onnx", "network": "custom"}
    assert first.sample("cnnsvc_model_info", info) == 1
    assert first.sample("cnnsvc_ready") == 1
    second.is_ready = False
    second.publish()
    assert first.sample("cnnsvc_ready") == 0


def test_the_drift_of_the_worst(folder: Path) -> None:
    """Shown is the greatest PSI, from the first worker that has images enough for one, and the images of all."""
    first, second = Worker(folder, 0), Worker(folder, 1)
    classes = {**MODEL, "feature": "classes"}
    first.answers("rose", "daisy", "tulip")
    second.answers("rose")
    first.publish()
    assert first.sample("cnnsvc_drift_psi", classes) == pytest.approx(0, abs=0.001)
    second.publish()
    for worker in (first, second):
        psi, by_chance = (worker.sample(f"cnnsvc_drift_{name}", classes) for name in ("psi", "psi_by_chance"))
        assert psi is not None
        assert by_chance is not None
        assert psi > 1 > by_chance > 0
        assert worker.sample("cnnsvc_drift_window_images", MODEL) == 300 + LEAST_IMAGES


def test_a_version_that_every_worker_unloads(folder: Path) -> None:
    """Files keep its series, which say nothing any more: no images, no PSI."""
    worker = Worker(folder, 0)
    worker.answers("rose")
    worker.publish()
    worker.metrics.drift.forget(worker.model.drift)
    worker.publish()
    assert worker.sample("cnnsvc_drift_window_images", MODEL) == 0
    assert worker.sample("cnnsvc_drift_psi", {**MODEL, "feature": "classes"}) == 0


def test_no_counter_falls_when_a_worker_dies(folder: Path) -> None:
    """What it counted stays and its successor goes on from there; what it had in flight or waiting is gone."""
    first, second = Worker(folder, 0), Worker(folder, 1)
    first.calls(1)
    second.calls(1)
    second.num_queued = 5
    second.publish()
    with second.call():
        assert first.sample("cnnsvc_requests_in_flight", {"protocol": "http"}) == 1
        forget_living(folder, 1)
        assert first.sample("cnnsvc_requests_in_flight", {"protocol": "http"}) == 0
        assert first.sample("cnnsvc_queue_depth", MODEL) == 0
        assert first.sample("cnnsvc_workers") == 1
        assert first.sample("cnnsvc_request_duration_seconds_count", CALLS) == 2
        successor = Worker(folder, 1)
        successor.metrics.worker_restarts.inc()
        successor.calls(1)
        assert first.sample("cnnsvc_request_duration_seconds_count", CALLS) == 3
        assert first.sample("cnnsvc_worker_restarts_total") == 1
        assert first.sample("cnnsvc_workers") == 2
        assert len(list(folder.glob("counter_*.db"))) == 2


def test_the_processes_are_added_up(folder: Path) -> None:
    """Memory, open files and CPU time are those of all workers; the start is the oldest one's."""
    alone = CollectorRegistry()
    Metrics(alone, version="1.2.3")
    first = Worker(folder, 0)
    Worker(folder, 1)
    for name in ("process_resident_memory_bytes", "process_open_fds"):
        of_one, of_both = alone.get_sample_value(name), first.sample(name)
        assert of_one is not None
        assert of_both is not None
        assert 1.5 * of_one < of_both < 2.5 * of_one
    assert first.sample("process_start_time_seconds") == alone.get_sample_value("process_start_time_seconds")
    before = first.sample("process_cpu_seconds_total")
    assert before is not None
    forget_living(folder, 1)
    after = first.sample("process_cpu_seconds_total")
    assert after is not None
    assert after >= before > 0


def test_no_metric_is_missing(folder: Path) -> None:
    """Every family of a single process is there with the same type, help and label names."""
    alone = CollectorRegistry()
    metrics = Metrics(alone, version="1.2.3")
    model = metrics.add_model(manifest_of(), TRIALS, lambda: 0)
    worker = Worker(folder, 0)
    for drift in (model.drift, worker.model.drift):
        for _ in range(LEAST_IMAGES):
            drift.observe("rose", 0.5, (0, 0, 0))
    for one in (metrics, worker.metrics):
        one.sample()
        one.observe_load("flowers", 0.1, is_loaded=True)
        one.rollout.set_refused("flowers", 2, Fault.HASH)
        one.rollout.set_routes("flowers", 1, {"stable": 1})
        one.keys.observe({"tokens": False}, {"certificate": 1.0})
        with one.request("http", "classify"):
            pass
    expected, found = (
        {
            family.name: (family.type, family.documentation, {frozenset(s.labels) for s in family.samples})
            for family in registry.collect()
        }
        for registry in (alone, worker.registry)
    )
    assert found == expected
    for accept, parse in (("", parse_text), ("application/openmetrics-text", parse_openmetrics)):
        body, _ = worker.metrics.exposition(accept)
        assert {family.name for family in parse(body.decode())} == set(expected)


def test_a_file_that_is_still_empty_is_passed_over(folder: Path) -> None:
    """A worker that starts makes its files before it gives them a size; a scrape in between does not fail."""
    worker = Worker(folder, 0)
    (folder / "counter_1.db").touch()
    assert worker.sample("cnnsvc_workers") == 1
    assert os.environ["PROMETHEUS_MULTIPROC_DIR"] == str(folder)
