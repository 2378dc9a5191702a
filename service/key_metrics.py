"""The metrics of what the doors are locked with."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Gauge


class KeyMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._refused = Gauge(
            "cnnsvc_file_refused",
            "1 while a file that changed cannot be used and what it held before holds, else 0.",
            ["file"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._expiry = Gauge(
            "cnnsvc_tls_certificate_expiry_timestamp_seconds",
            "When the first certificate of a file expires, in Unix time.",
            ["file"],
            registry=registry,
            multiprocess_mode="livemin",
        )

    def observe(self, are_refused: Mapping[str, bool], expiry_seconds: Mapping[str, float]) -> None:
        for name, is_refused in are_refused.items():
            self._refused.labels(name).set(is_refused)
        for name, seconds in expiry_seconds.items():
            self._expiry.labels(name).set(seconds)
