"""What sees each call beside the metrics, where it is asked for: traces and the audit log; opened, closed in time."""

import asyncio
import importlib.metadata
import logging
import socket
import threading
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from cnnsvc.errors import SettingError
from service.audit import AuditLog
from service.call_record import CallRecord, Outcome, Source
from service.image_store import ImageStore
from service.line_file import LineFile
from service.settings import ServeSettings

if TYPE_CHECKING:  # it needs an extra
    from service.traces import Traces

_CLOSE_SECONDS: Final = 2.0
"""What is not sent or written by then is lost: who stops a server does not want to wait for its collector."""

_log = logging.getLogger("cnnsvc.recording")


class Recording:
    """A Recorder, for Metrics.recorder."""

    def __init__(
        self, traces: "Traces | None", audit: AuditLog | None = None, *, close_seconds: float = _CLOSE_SECONDS
    ) -> None:
        self._traces = traces
        self._audit = audit
        self._close_seconds = close_seconds

    def begin(self, protocol: str, method: str, source: Source) -> CallRecord | None:
        is_audited = self._audit is not None and self._audit.wants_next()
        if self._traces is None and not is_audited:
            return None
        record = CallRecord(protocol, method, source, is_audited=is_audited)
        if self._traces is not None:
            record.span = self._traces.begin(record)
        return record

    def end(self, record: CallRecord, outcome: Outcome) -> None:
        if self._traces is not None:
            self._traces.end(record.span, record, outcome)
        if self._audit is not None and record.is_audited:
            self._audit.add(record, outcome)

    async def close(self) -> None:
        """Within the time, whoever does not answer."""
        # No thread of the loop's executor, for which the loop's own end would wait.
        closing = [
            threading.Thread(target=one.close, name="close-recording", daemon=True)
            for one in (self._traces, self._audit)
            if one is not None
        ]
        give_up = time.monotonic() + self._close_seconds
        for thread in closing:
            thread.start()
        for thread in closing:
            await asyncio.to_thread(thread.join, max(0.0, give_up - time.monotonic()))


def open_recording(
    settings: ServeSettings, worker: int | None, count_dropped: Callable[[], None] = lambda: None
) -> Recording | None:
    """None where nothing is recorded; `worker` is one of several, `count_dropped` counts what the audit log loses.

    Raises SettingError for a file or folder that cannot be written, and for traces without their extra.
    """
    _warn_of_no_effect(settings)
    audit = _open_audit(settings, worker, count_dropped) if settings.audit_log else None
    endpoint = settings.otlp_endpoint
    traces = _open_traces(endpoint, settings.trace_sample_percent, worker) if endpoint else None
    return Recording(traces, audit) if traces or audit else None


def _warn_of_no_effect(settings: ServeSettings) -> None:
    needs = {
        "trace_sample_percent": "otlp_endpoint",
        "audit_sample_percent": "audit_log",
        "audit_log_max_bytes": "audit_log",
        "audit_images": "audit_log",
        "audit_images_max_bytes": "audit_images",
    }
    for name, needed in needs.items():
        if getattr(settings, name) != getattr(ServeSettings, name) and getattr(settings, needed) is None:
            flag, needed_flag = (f"--{one.replace('_', '-')}" for one in (name, needed))
            _log.warning("%s has no effect without %s", flag, needed_flag)


def _open_audit(settings: ServeSettings, worker: int | None, count_dropped: Callable[[], None]) -> AuditLog:
    """Workers share neither file nor folder: two that rotate one file would lose each other's lines."""
    assert settings.audit_log is not None, "asked for"
    path, folder = settings.audit_log, settings.audit_images
    if worker is not None:
        path = path.with_name(f"{path.stem}.worker-{worker}{path.suffix}")
        folder = folder and folder / f"worker-{worker}"
    try:
        images = ImageStore(folder, settings.audit_images_max_bytes) if folder else None
    except OSError as error:
        raise SettingError(f"--audit-images {folder} cannot be written: {error.strerror}") from None
    try:
        file = LineFile(path, settings.audit_log_max_bytes)
    except OSError as error:
        raise SettingError(f"--audit-log {path} cannot be written: {error.strerror}") from None
    return AuditLog(file, images, sample_percent=settings.audit_sample_percent, count_dropped=count_dropped)


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
