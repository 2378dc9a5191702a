"""Every metric of the service. Times in seconds; no label value comes from a request.

Each gauge says how those of several workers become one; counters and histograms are added up.
"""

import platform
import time
from asyncio import CancelledError
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from cnnsvc.engines.choice import Trial
from cnnsvc.errors import CnnsvcError, Kind
from cnnsvc.manifest import Manifest
from service.access import current_caller
from service.call_log import CallLog
from service.call_record import CallRecord, Outcome, Recorder, Source
from service.drift import DriftWindow
from service.drift_gauges import DriftGauges
from service.key_metrics import KeyMetrics
from service.rollout_metrics import RolloutMetrics
from service.shared_metrics import forget_series

BUCKETS_SECONDS: Final = (
    0.0005, 0.001, 0.0015, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075,
    0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
BUCKETS_LOAD_SECONDS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
BUCKETS_BATCH_SIZE: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256)
# The ten bins of the bundle's own histogram (manifest.Baseline), two more where sure networks are.
BUCKETS_SCORE: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
Across = Literal["livesum", "livemin", "livemax"]
"""What a gauge of several workers is: their sum, their least or their greatest, of the living."""
STAGES: Final = ("decode", "queue", "inference", "total")
REJECTION_REASONS: Final = (Kind.OVERLOADED, Kind.LATE, Kind.TOO_LARGE, Kind.NOT_READY)


@dataclass(slots=True)
class ObservedRequest:
    """What the front-end learns while it answers; model and version are those that answered."""

    model: str = ""
    version: int = 0
    code: str = "ok"
    detail: str = ""
    """The error's own words, for the log."""
    record: CallRecord | None = None
    """None unless the call is traced or audited."""


class _TimedCall:
    """One call while it is answered; a class, since a generator as a context takes three times as long."""

    __slots__ = ("_method", "_metrics", "_observed", "_protocol", "_source", "_started")

    def __init__(self, metrics: "Metrics", protocol: str, method: str, source: Source | None) -> None:
        self._metrics = metrics
        self._protocol = protocol
        self._method = method
        self._source = source
        self._observed = ObservedRequest()

    def __enter__(self) -> ObservedRequest:
        self._metrics.call_began(self._protocol)
        recorder = self._metrics.recorder
        if recorder is not None and self._source is not None:
            self._observed.record = recorder.begin(self._protocol, self._method, self._source)
        self._started = time.perf_counter()
        return self._observed

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        seconds = time.perf_counter() - self._started
        if error is not None:
            self._observed.code, self._observed.detail = _outcome(error)
        self._metrics.call_ended(self._protocol, self._method, self._observed, seconds)
        if self._observed.record is not None:
            self._metrics.recording_ended(self._observed, seconds)


class ModelMetrics:
    """The metrics of one model version, their labels bound once at load."""

    def __init__(self, metrics: "Metrics", manifest: Manifest, drift: DriftWindow) -> None:
        model, version = manifest.name, str(manifest.version)
        self.decode, self.queue, self.inference, self.total = (
            metrics.stage_duration.labels(stage, model, version) for stage in STAGES
        )
        self.batch_size = metrics.batch_size.labels(model, version)
        self.score = metrics.score.labels(model, version)
        self.predictions = {name: metrics.predictions.labels(model, version, name) for name in manifest.class_names}
        self.unknown = metrics.unknown.labels(model, version)
        self.drift = drift


class Metrics:
    def __init__(self, registry: CollectorRegistry, *, version: str, drift_window_images: int = 1000) -> None:
        self.recorder: Recorder | None = None
        """Sees every call; None unless calls are traced or audited."""
        self._registry = registry
        self._call_log = CallLog()
        self._children: dict[tuple[Any, tuple[str, ...]], Any] = {}
        self._watched: dict[Gauge, Callable[[], float]] = {}
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        self._add_call_metrics()
        self._add_model_metrics()
        self._add_worker_metrics()
        self.rollout = RolloutMetrics(registry)
        self.keys = KeyMetrics(registry)
        self.drift = DriftGauges(registry, drift_window_images)
        build_info = self._gauge("cnnsvc_build_info", "This program; always 1.", "version", "python", across="livemax")
        build_info.labels(version, platform.python_version()).set(1)

    def request(self, protocol: str, method: str, source: Source | None = None) -> "_TimedCall":
        """Times one call, counts it in flight and logs a failure, as a context that gives an ObservedRequest.

        An error that passes through gives the code and is raised on. Without a source it is not recorded.
        """
        return _TimedCall(self, protocol, method, source)

    def call_began(self, protocol: str) -> None:
        self._child(self._in_flight, protocol).inc()

    def call_ended(self, protocol: str, method: str, observed: ObservedRequest, seconds: float) -> None:
        self._child(self._in_flight, protocol).dec()
        version = str(observed.version) if observed.version else ""
        code = str(observed.code)
        self._child(self.request_duration, protocol, method, observed.model, version, code).observe(seconds)
        if observed.code in REJECTION_REASONS:
            self._rejected.labels(code).inc()
        self._call_log.ended(protocol, method, observed.code, observed.detail, seconds)

    def recording_ended(self, observed: ObservedRequest, seconds: float) -> None:
        record = observed.record
        assert self.recorder is not None, "there is no record without"
        assert record is not None
        if observed.model:
            record.model, record.version = observed.model, observed.version
        self.recorder.end(record, Outcome(str(observed.code), seconds, current_caller()))
        observed.record = None  # it may hold images, and the caller's frame holds what is observed

    def _child(self, metric: Any, *labels: str) -> Any:
        """The metric with these labels, remembered: finding it takes longer than counting."""
        key = (metric, labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = metric.labels(*labels)
        return child

    def add_model(self, manifest: Manifest, trials: list[Trial], num_queued: Callable[[], int]) -> ModelMetrics:
        """Announces a loaded model, whose engine is the chosen one of the trials, and binds its metrics."""
        model, version = manifest.name, str(manifest.version)
        for trial in trials:
            form = trial.engine, trial.artifact, str(trial.num_streams), str(trial.batch_size)
            self._engine_speed.labels(model, version, *form).set(trial.images_per_second)
            if trial.is_chosen:
                self._model_info.labels(model, version, trial.engine, trial.artifact, manifest.network.name).set(1)
        self._watch(self._queue_depth.labels(model, version), num_queued)
        return ModelMetrics(self, manifest, self.drift.watch(manifest))

    def remove_model(self, manifest: Manifest, bound: ModelMetrics) -> None:
        """Forgets a version that is not loaded any more; where workers share files, what it counted stays in them."""
        model, version = manifest.name, str(manifest.version)
        self._unwatch(self._queue_depth.labels(model, version))
        self.drift.forget(bound.drift)
        for metric in (*self._of_models, self.request_duration):
            forget_series(metric, {"model": model, "version": version})
        for key in [key for key in self._children if key[1][2:4] == (model, version)]:
            del self._children[key]

    def observe_load(self, model: str, seconds: float, *, is_loaded: bool) -> None:
        """One attempt to load a version of a model, which is named as its folder is."""
        self._load_duration.labels(model, "loaded" if is_loaded else "refused").observe(seconds)

    def watch_readiness(self, is_ready: Callable[[], bool]) -> None:
        self._watch(self._ready, is_ready)

    def watch_admission(self, num_admitted: Callable[[], int], *, limit: int) -> None:
        self._watch(self._admitted, num_admitted)
        self._admitted_limit.set(limit)

    def watch_admitted_bytes(self, num_bytes: Callable[[], int], *, limit: int) -> None:
        self._watch(self._admitted_bytes, num_bytes)
        self._admitted_bytes_limit.set(limit)

    def sample(self) -> None:
        """Stores what is looked up at a scrape, for those of other workers: they cannot look it up here."""
        for gauge, value in self._watched.items():
            gauge.set(value())
        self.drift.sample()

    def exposition(self, accept_header: str) -> tuple[bytes, str]:
        """Body and content type of a scrape, in the format that the scraper accepts."""
        self.sample()
        encode, content_type = choose_encoder(accept_header)
        return encode(self._registry), content_type

    def _add_call_metrics(self) -> None:
        self.request_duration = self._histogram(
            "cnnsvc_request_duration_seconds",
            "Time from a call's arrival to its answer, failures included; code is ok or the kind of the error.",
            ("protocol", "method", "model", "version", "code"),
            BUCKETS_SECONDS,
        )
        self._in_flight = self._gauge(
            "cnnsvc_requests_in_flight", "Calls that have arrived and are not answered.", "protocol"
        )
        self._rejected = Counter(
            "cnnsvc_rejected_total", "Calls refused without an answer, by reason.", ["reason"], registry=self._registry
        )
        for reason in REJECTION_REASONS:
            self._rejected.labels(reason)
        self.audit_dropped = Counter(
            "cnnsvc_audit_dropped_total",
            "Lines and images of the audit log that are lost: too many waited, or they could not be written.",
            registry=self._registry,
        )
        self._admitted = self._gauge("cnnsvc_images_admitted", "Images admitted and not yet answered.")
        self._admitted_limit = self._gauge(
            "cnnsvc_images_admitted_limit", "Images admitted at which more are refused as overloaded."
        )
        self._admitted_bytes = self._gauge(
            "cnnsvc_bytes_admitted",
            "Encoded bytes of images admitted and not yet answered, and of bodies as they come.",
        )
        self._admitted_bytes_limit = self._gauge(
            "cnnsvc_bytes_admitted_limit", "Bytes admitted at which more are refused as overloaded."
        )

    def _add_model_metrics(self) -> None:
        model = ("model", "version")
        self.stage_duration = self._histogram(
            "cnnsvc_stage_duration_seconds",
            "Time of one image in a stage: decode, queue (all waiting), inference, total.",
            ("stage", *model),
            BUCKETS_SECONDS,
        )
        self.batch_size = self._histogram("cnnsvc_batch_size", "Images in one inference.", model, BUCKETS_BATCH_SIZE)
        self.score = self._histogram("cnnsvc_prediction_score", "Score of an image's best class.", model, BUCKETS_SCORE)
        self.predictions = Counter(
            "cnnsvc_predictions_total",
            "Images by the class that scored best.",
            [*model, "class"],
            registry=self._registry,
        )
        self.unknown = Counter(
            "cnnsvc_unknown_images_total",
            "Images of none of the classes: their best score is below the bundle's threshold.",
            model,
            registry=self._registry,
        )
        self._queue_depth = self._gauge("cnnsvc_queue_depth", "Images that wait for a stream.", *model)
        self._load_duration = self._histogram(
            "cnnsvc_model_load_duration_seconds",
            "Time to verify, load, prove and warm a version of a model; outcome is loaded or refused.",
            ("model", "outcome"),
            BUCKETS_LOAD_SECONDS,
        )
        self._engine_speed = self._gauge(
            "cnnsvc_engine_images_per_second",
            "Inferences a second when the engine was chosen at load; 0 where it was refused or there was no other.",
            *(*model, "engine", "artifact", "streams", "batch_size"),
            across="livemax",
        )
        self._ready = self._gauge(
            "cnnsvc_ready", "1 while every model has a version that answers, else 0.", across="livemin"
        )
        self._model_info = self._gauge(
            "cnnsvc_model_info",
            "A loaded model version; always 1.",
            *(*model, "engine", "artifact", "network"),
            across="livemax",
        )

        self._of_models = (
            *(self.stage_duration, self.batch_size, self.score, self.predictions, self.unknown),
            *(self._queue_depth, self._engine_speed, self._model_info),
        )

    def _add_worker_metrics(self) -> None:
        self.workers = self._gauge("cnnsvc_workers", "Processes that have loaded their models and serve.")
        self.worker_restarts = Counter(
            "cnnsvc_worker_restarts_total", "Workers started in place of one that ended.", registry=self._registry
        )

    def _unwatch(self, gauge: Gauge) -> None:
        gauge.set(0)
        self._watched.pop(gauge, None)

    def _watch(self, gauge: Gauge, value: Callable[[], float]) -> None:
        gauge.set_function(value)
        self._watched[gauge] = value

    def _histogram(self, name: str, help_text: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, help_text, labels, buckets=buckets, registry=self._registry)

    def _gauge(self, name: str, help_text: str, *labels: str, across: Across = "livesum") -> Gauge:
        return Gauge(name, help_text, labels, registry=self._registry, multiprocess_mode=across)


def _outcome(error: BaseException) -> tuple[str, str]:
    """Code and detail of a call that this error ended."""
    if isinstance(error, CnnsvcError):
        return error.kind, str(error)
    return (Kind.CANCELLED if isinstance(error, CancelledError) else Kind.INTERNAL), ""
