"""The metrics of what is served by which name: defaults, labels, refusals, rollbacks, the folder."""

from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge

from cnnsvc.errors import Fault
from service.shared_metrics import forget_series

Cause = Literal["errors", "operator"]
CAUSES: Final[tuple[Cause, ...]] = ("errors", "operator")


class RolloutMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._refused = Gauge(
            "cnnsvc_model_refused",
            "A version that must not answer, by what is wrong with it; 1 while it is so.",
            ["model", "version", "fault"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._default_version = Gauge(
            "cnnsvc_model_default_version",
            "The version that answers calls which name none; of several workers the newest.",
            ["model"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._label_version = Gauge(
            "cnnsvc_model_label_version",
            "The version that a label points to; of several workers the newest.",
            ["model", "label"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._rollbacks = Counter(
            "cnnsvc_model_rollbacks_total",
            "Times that a model went back to another version, by cause: errors or operator.",
            ["model", "cause"],
            registry=registry,
        )
        self.is_folder_readable = Gauge(
            "cnnsvc_models_folder_readable",
            "1 while the folder of models and those of all models can be read, else 0; what serves goes on serving.",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self.is_folder_readable.set(1)  # of a single bundle nobody looks, and there is nothing to complain of
        self._faults: dict[tuple[str, int], Fault] = {}
        self._labels: dict[str, set[str]] = {}

    def set_refused(self, model: str, version: int, fault: Fault | None) -> None:
        """None: it is not refused any more."""
        if before := self._faults.pop((model, version), None):
            forget_series(self._refused, {"model": model, "version": str(version), "fault": before})
        if fault:
            self._faults[model, version] = fault
            self._refused.labels(model, str(version), fault).set(1)

    def set_routes(self, model: str, default: int, labels: dict[str, int]) -> None:
        if model not in self._labels:
            for cause in CAUSES:
                self._rollbacks.labels(model, cause)
        self._default_version.labels(model).set(default)
        for label in self._labels.get(model, set()) - set(labels):
            forget_series(self._label_version, {"model": model, "label": label})
        self._labels[model] = set(labels)
        for label, version in labels.items():
            self._label_version.labels(model, label).set(version)

    def rolled_back(self, model: str, cause: Cause) -> None:
        self._rollbacks.labels(model, cause).inc()
