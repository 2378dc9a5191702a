"""The report of a bench."""

import dataclasses
import io
import json
from pathlib import Path
from xml.etree import ElementTree

from rich.console import Console

from cnnsvc.load.record import CURVE_PERCENTILES, FailureCount, Latencies, Measurement
from cnnsvc.load.report import Report, print_report, report_json, save_picture

_RUN = Measurement(
    concurrency=8,
    rate_per_second=None,
    num_answered=12_000,
    num_failed=3,
    num_unsent=0,
    seconds=10.0,
    images_per_second=1200.0,
    latency_ms=Latencies(1.234, 5.678, 12.34, 123.4, 1234.0),
    server_median_ms={"decode": 0.25, "queue": 0.5, "inference": 2.0, "total": 3.0},
    failures=[FailureCount("429", "overloaded", 3, "too much [bold]waits\x1b[2J")],
    client_cpu_share=0.25,
    is_lower_bound=False,
    curve_ms=[float(index + 1) for index in range(len(CURVE_PERCENTILES))],
)
_NOTHING = dataclasses.replace(
    _RUN, concurrency=32, num_answered=0, images_per_second=0.0, latency_ms=None, server_median_ms=None, curve_ms=()
)
_REPORT = Report("http://h:1", "http", "flowers", 3, "4 made JPEGs", 1.0, 10.0, None, [_RUN, _NOTHING])


def _printed(report: Report, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_report(report, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_person_reads_rows() -> None:
    """One row a concurrency in both tables, in 80 columns, with what failed and why."""
    printed = _printed(_REPORT)
    rows = [line.split() for line in printed.splitlines()]
    assert ["8", "1,200.0", "1.23", "5.68", "12.3", "123", "1,234", "3", "25%"] in rows
    assert ["32", "0.0", *"–––––", "3", "25%"] in rows
    assert ["8", "0.25", "0.50", "2.00", "3.00"] in rows
    assert "flowers version 3 at http://h:1, over HTTP" in printed
    assert "8 at once: 3 failed, 429 overloaded: too much [bold]waits�[2J" in printed
    assert "…" not in printed
    assert "\x1b" not in printed


def test_doubts_are_said() -> None:
    """A generator that was busy, and an offered rate that the server did not keep up with."""
    run = dataclasses.replace(_RUN, is_lower_bound=True, num_unsent=17, rate_per_second=500.0)
    printed = _printed(dataclasses.replace(_REPORT, rate_per_second=500.0, runs=[run]), width=300)
    assert "500 requests a second offered" in printed
    assert "latency from when each was to start" in printed
    assert "17 requests were never sent" in printed
    assert "images/s are a lower bound" in printed


def test_a_program_reads_one_object() -> None:
    """With every figure by its name and unit; the points of the curve stay out."""
    document = json.loads(report_json(_REPORT))
    assert (document["model"], document["version"], document["protocol"]) == ("flowers", 3, "http")
    run, nothing = document["runs"]
    assert run["latency_ms"] == {"p50": 1.234, "p90": 5.678, "p99": 12.34, "p99_9": 123.4, "max": 1234.0}
    assert run["failures"][0]["num"] == 3
    assert "curve_ms" not in run
    assert nothing["latency_ms"] is None


def test_a_picture_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    """It is SVG with the figures in it, and names no font to load."""
    save_picture(_REPORT, tmp_path / "report.svg")
    text = (tmp_path / "report.svg").read_text(encoding="utf-8")
    assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert "1,200.0" in text
    assert "@font-face" not in text
    assert "url(http" not in text
