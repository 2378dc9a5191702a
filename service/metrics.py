"""Every metric of the service. Times in seconds; no label value comes from a request."""

import contextlib
import platform
import time
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from cnnsvc.errors import CnnsvcError, Kind
from cnnsvc.manifest import Manifest

BUCKETS_SECONDS: Final = (
    0.0005, 0.001, 0.0015, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075,
    0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
STAGES: Final = ("decode", "queue", "inference", "total")
REJECTION_REASONS: Final = (Kind.OVERLOADED, Kind.LATE, Kind.TOO_LARGE, Kind.NOT_READY)


@dataclass(slots=True)
class ObservedRequest:
    """What the front-end learns while it answers; model and version are those that answered."""

    model: str = ""
    version: int = 0
    code: str = "ok"


class ModelMetrics:
    """The metrics of one model version, their labels bound once at load."""

    def __init__(self, metrics: "Metrics", manifest: Manifest) -> None:
        model, version = manifest.name, str(manifest.version)
        self.decode, self.queue, self.inference, self.total = (
            metrics.stage_duration.labels(stage, model, version) for stage in STAGES
        )
        self.predictions = {name: metrics.predictions.labels(model, version, name) for name in manifest.class_names}


class Metrics:
    def __init__(self, registry: CollectorRegistry, *, version: str) -> None:
        self._registry = registry
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        self.request_duration = Histogram(
            "cnnsvc_request_duration_seconds",
            "Time from a call's arrival to its answer, failures included; code is ok or the kind of the error.",
            ["protocol", "method", "model", "version", "code"],
            buckets=BUCKETS_SECONDS,
            registry=registry,
        )
        self.stage_duration = Histogram(
            "cnnsvc_stage_duration_seconds",
            "Time of one image in a stage: decode, queue (all waiting), inference, total.",
            ["stage", "model", "version"],
            buckets=BUCKETS_SECONDS,
            registry=registry,
        )
        self._in_flight = Gauge(
            "cnnsvc_requests_in_flight",
            "Calls that have arrived and are not answered.",
            ["protocol"],
            registry=registry,
        )
        self._queue_depth = Gauge(
            "cnnsvc_queue_depth", "Decoded images that wait for an engine.", ["model", "version"], registry=registry
        )
        self._rejected = Counter(
            "cnnsvc_rejected_total", "Calls refused without an answer, by reason.", ["reason"], registry=registry
        )
        self.predictions = Counter(
            "cnnsvc_predictions_total",
            "Images by the class that scored best.",
            ["model", "version", "class"],
            registry=registry,
        )
        self._model_info = Gauge(
            "cnnsvc_model_info",
            "A loaded model version; always 1.",
            ["model", "version", "engine", "artifact", "network"],
            registry=registry,
        )
        build_info = Gauge("cnnsvc_build_info", "This program; always 1.", ["version", "python"], registry=registry)
        build_info.labels(version, platform.python_version()).set(1)
        for reason in REJECTION_REASONS:
            self._rejected.labels(reason)

    @contextlib.contextmanager
    def request(self, protocol: str, method: str) -> Iterator[ObservedRequest]:
        """Times one call and counts it in flight; an error that passes through gives the code and is raised on."""
        observed = ObservedRequest()
        in_flight = self._in_flight.labels(protocol)
        in_flight.inc()
        started = time.perf_counter()
        try:
            yield observed
        except CnnsvcError as error:
            observed.code = error.kind
            raise
        except CancelledError:
            observed.code = Kind.CANCELLED
            raise
        except BaseException:
            observed.code = Kind.INTERNAL
            raise
        finally:
            in_flight.dec()
            version = str(observed.version) if observed.version else ""
            labels = (protocol, method, observed.model, version, str(observed.code))
            self.request_duration.labels(*labels).observe(time.perf_counter() - started)
            if observed.code in REJECTION_REASONS:
                self._rejected.labels(observed.code).inc()

    def add_model(
        self, manifest: Manifest, *, engine: str, artifact: str, num_queued: Callable[[], int]
    ) -> ModelMetrics:
        """Announces a loaded model and binds its metrics."""
        model, version = manifest.name, str(manifest.version)
        self._model_info.labels(model, version, engine, artifact, manifest.network.name).set(1)
        self._queue_depth.labels(model, version).set_function(num_queued)
        return ModelMetrics(self, manifest)

    def exposition(self, accept_header: str) -> tuple[bytes, str]:
        """Body and content type of a scrape, in the format that the scraper accepts."""
        encode, content_type = choose_encoder(accept_header)
        return encode(self._registry), content_type
