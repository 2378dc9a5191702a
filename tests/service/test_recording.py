"""Recording is off unless it is asked for, and says what it lacks; sending spans never makes noise or waits."""

import logging
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from cnnsvc.errors import SettingError
from service.otlp import TellingExporter
from service.recording import Recording, open_recording
from service.settings import ServeSettings
from service.traces import Traces

pytestmark = pytest.mark.slow

NOTHING_LOADED = """
import sys
from pathlib import Path
from typing import Any
import service.app
from service.recording import open_recording
from service.settings import ServeSettings
assert open_recording(ServeSettings(Path("models")), None) is None
print(*(name for name in ("opentelemetry", "requests") if name in sys.modules))
"""
WITHOUT_THE_EXTRA = """
import sys
from pathlib import Path
from typing import Any
sys.modules["opentelemetry"] = None
from service.recording import open_recording
from service.settings import ServeSettings
try:
    open_recording(ServeSettings(Path("models"), otlp_endpoint="http://127.0.0.1:4318"), None)
except Exception as error:
    print(type(error).__name__, error)
"""


def _output(program: str) -> str:
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.strip()


def test_nothing_is_loaded_where_nothing_is_recorded() -> None:
    """Without its flag, neither OpenTelemetry nor what it sends with is in the server's process."""
    assert _output(NOTHING_LOADED) == ""


def test_without_the_extra() -> None:
    """The error says how to install what is missing."""
    said = _output(WITHOUT_THE_EXTRA)
    assert said.startswith("SettingError --otlp-endpoint needs OpenTelemetry, which is not installed")
    assert said.endswith("pip install 'cnnsvc[otel]'")


@pytest.mark.parametrize("url", ["", "127.0.0.1:4318", "ftp://collector", "http://", "http://[", "http://host:0"])
def test_an_endpoint_that_is_no_url(url: str) -> None:
    """It is refused before anything starts."""
    with pytest.raises(ValueError, match=r"--otlp-endpoint is .*; expected a URL"):
        ServeSettings(Path("models"), otlp_endpoint=url)


def test_settings_without_effect(caplog: pytest.LogCaptureFixture) -> None:
    """Each warns, and names what it needs."""
    settings = ServeSettings(Path("models"), trace_sample_percent=5, audit_images=Path("images"))
    assert open_recording(settings, None) is None
    assert caplog.messages == [
        "--trace-sample-percent has no effect without --otlp-endpoint",
        "--audit-images has no effect without --audit-log",
    ]


@pytest.mark.parametrize("flag", ["audit_log", "audit_images"])
def test_a_place_that_cannot_be_written(tmp_path: Path, flag: str) -> None:
    """It is refused before anything is served, with the flag and the reason."""
    (tmp_path / "file").touch()
    paths: dict[str, Any] = {"audit_log": tmp_path / "log", flag: tmp_path / "file" / "inside"}
    name = flag.replace("_", "-")
    with pytest.raises(SettingError, match=f"--{name} .*inside cannot be written: Not a directory"):
        open_recording(ServeSettings(tmp_path, **paths), None)


class Collector(SpanExporter):
    """Takes spans or not, and logs as an exporter does."""

    def __init__(self) -> None:
        self.takes = True
        self.is_stuck = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if not self.takes:
            logging.getLogger(__name__).error("connection refused")
        return SpanExportResult.SUCCESS if self.takes else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        if self.is_stuck:
            time.sleep(30)


def test_a_collector_that_is_away_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """One line says that spans are lost and why, one that they arrive again, however many batches there are."""
    collector = Collector()
    exporter = TellingExporter(collector, "http://collector")
    with caplog.at_level("INFO"):
        for takes in (True, False, False, False, True, True, False):
            collector.takes = takes
            exporter.export([])
    lost = "traces do not reach http://collector and are lost: connection refused"
    assert caplog.messages == [lost, "traces reach http://collector again", lost]


async def test_closing_waits_for_no_collector() -> None:
    """One that does not answer delays the end by the bound and no more."""
    collector = Collector()
    collector.is_stuck = True
    traces = Traces(SimpleSpanProcessor(collector), sample_percent=100, resource={"service.version": "0"})
    began = time.monotonic()
    await Recording(traces, close_seconds=0.2).close()
    assert 0.2 <= time.monotonic() - began < 2
