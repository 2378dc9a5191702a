"""What sees each call beside the metrics, where it is asked for: traces. Wired, begun, ended, closed in time."""

import asyncio
import importlib.metadata
import logging
import socket
import threading
import uuid
from typing import TYPE_CHECKING, Final

from cnnsvc.errors import SettingError
from service.call_record import CallRecord, Outcome, Source
from service.settings import ServeSettings

if TYPE_CHECKING:  # it needs an extra
    from service.traces import Traces

_CLOSE_SECONDS: Final = 2.0
"""What is not sent by then is lost: nobody who stops a server wants to wait for its collector."""

_log = logging.getLogger("cnnsvc.recording")


class Recording:
    """A Recorder, for Metrics.recorder."""

    def __init__(self, traces: "Traces", *, close_seconds: float = _CLOSE_SECONDS) -> None:
        self._traces = traces
        self._close_seconds = close_seconds

    def begin(self, protocol: str, method: str, source: Source) -> CallRecord | None:
        record = CallRecord(protocol, method, source)
        record.span = self._traces.begin(record)
        return record

    def end(self, record: CallRecord, outcome: Outcome) -> None:
        self._traces.end(record.span, record, outcome)

    async def close(self) -> None:
        """Within the time, whoever does not answer."""
        # No thread of the loop's executor, for which the loop's own end would wait.
        closing = threading.Thread(target=self._traces.close, name="close-recording", daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, self._close_seconds)


def open_recording(settings: ServeSettings, worker: int | None) -> Recording | None:
    """None where nothing is recorded; `worker` is one of several. Raises SettingError without the extra."""
    if settings.otlp_endpoint is None:
        if settings.trace_sample_percent != ServeSettings.trace_sample_percent:
            _log.warning("--trace-sample-percent has no effect without --otlp-endpoint")
        return None
    return Recording(_open_traces(settings.otlp_endpoint, settings.trace_sample_percent, worker))


def _open_traces(endpoint: str, sample_percent: float, worker: int | None) -> "Traces":
    try:
        from service.otlp import build_processor
        from service.traces import Traces
    except ModuleNotFoundError as error:
        raise SettingError(
            f"--otlp-endpoint needs OpenTelemetry, which is not installed ({error.name} is missing):"
            " pip install 'cnnsvc[otel]'"
        ) from None
    resource = {
        "service.name": "cnnsvc",
        "service.version": importlib.metadata.version("cnnsvc"),
        "service.instance.id": str(uuid.uuid4()),
        "host.name": socket.gethostname(),
    }
    if worker is not None:
        resource["cnnsvc.worker"] = str(worker)
    return Traces(build_processor(endpoint), sample_percent=sample_percent, resource=resource)
