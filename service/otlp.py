"""Sends spans to a collector as OTLP over HTTP: in batches, from a thread of its own, with few words where it fails.

No call waits for it: past a bound that the collector does not take in time, spans are dropped.
"""

import logging
from collections.abc import Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

_MOST_SPANS: Final = 8192
"""That wait to be sent, of some kilobytes each."""
_BATCH_SECONDS: Final = 1.0
_TIMEOUT_SECONDS: Final = 5.0
"""Of one batch, trying again included."""

_log = logging.getLogger("cnnsvc.traces")


def build_processor(endpoint: str) -> BatchSpanProcessor:
    # It would tell of a full queue three times a minute.
    logging.getLogger("opentelemetry.sdk._shared_internal").addFilter(_OfEachOne())
    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=_TIMEOUT_SECONDS)
    return BatchSpanProcessor(
        TellingExporter(exporter, endpoint),
        max_queue_size=_MOST_SPANS,
        schedule_delay_millis=1000 * _BATCH_SECONDS,
    )


class TellingExporter(SpanExporter):
    """Tells once that spans do not arrive, and why, and once that they do again; the exporter itself is mute."""

    def __init__(self, exporter: SpanExporter, endpoint: str) -> None:
        self._exporter = exporter
        self._endpoint = endpoint
        self._does_arrive = True
        self._reasons = _Reasons()
        # All that the exporters log is about one batch, which may be one of thousands.
        logging.getLogger(type(exporter).__module__).addFilter(self._reasons)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._reasons.first = ""
        result = self._exporter.export(spans)
        does_arrive = result is SpanExportResult.SUCCESS
        if self._does_arrive and not does_arrive:
            _log.warning("traces do not reach %s and are lost: %s", self._endpoint, self._reasons.first or result.name)
        elif does_arrive and not self._does_arrive:
            _log.info("traces reach %s again", self._endpoint)
        self._does_arrive = does_arrive
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class _Reasons(logging.Filter):
    """Keeps the first record's words, which say the most, and lets none through."""

    first = ""

    def filter(self, record: logging.LogRecord) -> bool:
        self.first = self.first or record.getMessage()
        return False


class _OfEachOne(logging.Filter):
    """Lets each message through once."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[object] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        is_new = record.msg not in self._seen
        self._seen.add(record.msg)
        return is_new
