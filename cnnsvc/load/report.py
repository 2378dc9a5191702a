"""The figures of a bench for a person: tables and curves, in a terminal or as a picture; and for a program: JSON."""

import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cnnsvc.load.curve import Curve, draw
from cnnsvc.load.record import SATURATED_SHARE, FailureCount, Measurement

_PICTURE_COLUMNS: Final = 92
_FONT_FACE: Final = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


@dataclass(frozen=True)
class Report:
    url: str
    protocol: str
    model: str
    version: int
    images: str
    warm_up_seconds: float
    duration_seconds: float
    rate_per_second: float | None
    runs: Sequence[Measurement]


def report_json(report: Report) -> bytes:
    """One object. The points of the curves are left out."""
    document: dict[str, Any] = msgspec.to_builtins(report)
    for run in document["runs"]:
        del run["curve_ms"]
    return msgspec.json.encode(document)


def print_report(report: Report, console: Console) -> None:
    title = f"{report.model} version {report.version} at {report.url}, {_carrier(report.protocol)}"
    console.print(Text(title, "bold"))
    console.print(Text(f"{report.images}; {_way(report)}\n"))
    console.print(_latency_table(report.runs))
    console.print(Text("\nwhere the server's time went, medians in ms", "bold"))
    console.print(_stage_table(report.runs))
    curves = [Curve(_label(run), run.curve_ms, run.num_answered) for run in report.runs]
    console.print(Text("\nlatency by percentile", "bold"))
    console.print(draw(curves), soft_wrap=True)
    for line in [*_failures(report.runs), *_warnings(report.runs)]:
        console.print(line)


def save_picture(report: Report, path: Path) -> None:
    """The report as SVG, in colours whatever the terminal is; it loads no font from elsewhere. May raise OSError."""
    console = Console(
        record=True, file=io.StringIO(), width=_PICTURE_COLUMNS, force_terminal=True, color_system="truecolor"
    )
    print_report(report, console)
    svg = _FONT_FACE.sub("", console.export_svg(title="cnnsvc bench"))
    # Browsers keep the spaces that columns are made of anyway; librsvg does only when told.
    path.write_text(svg.replace("<svg ", '<svg xml:space="preserve" ', 1), encoding="utf-8")


def _carrier(protocol: str) -> str:
    return {"http": "over HTTP", "grpc": "over gRPC", "stream": "over one gRPC stream"}[protocol]


def _way(report: Report) -> str:
    after = f" after {report.warm_up_seconds:g} s of warm-up" if report.warm_up_seconds else ""
    if report.rate_per_second is None:
        return f"{report.duration_seconds:g} s each{after}"
    return (
        f"{report.rate_per_second:g} requests a second offered for {report.duration_seconds:g} s each{after},"
        " latency from when each was to start"
    )


def _label(run: Measurement) -> str:
    return f"{run.concurrency} at once"


def _latency_table(runs: Iterable[Measurement]) -> Table:
    table = _table("concurrency", "images/s", "p50 ms", "p90", "p99", "p99.9", "max", "failed", "client CPU")
    for run in runs:
        found = run.latency_ms
        latencies = [found.p50, found.p90, found.p99, found.p99_9, found.max] if found else [None] * 5
        table.add_row(
            str(run.concurrency),
            f"{run.images_per_second:,.1f}",
            *map(_milliseconds, latencies),
            Text(f"{run.num_failed:,}", "red" if run.num_failed else ""),
            f"{run.client_cpu_share:.0%}",
        )
    return table


def _stage_table(runs: Iterable[Measurement]) -> Table:
    stages = ("decode", "queue", "inference", "total")
    table = _table("concurrency", *stages)
    for run in runs:
        medians = run.server_median_ms or {}
        table.add_row(str(run.concurrency), *(_milliseconds(medians.get(stage)) for stage in stages))
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _milliseconds(value: float | None) -> str:
    """Three digits that say something."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _failures(runs: Iterable[Measurement]) -> list[Text]:
    return [
        Text.assemble((f"{_label(run)}: {each.num:,} failed, {_name(each)}: ", "red"), _printable(each.first_message))
        for run in runs
        for each in run.failures
    ]


def _name(failure: FailureCount) -> str:
    return f"{failure.status} {failure.kind}".strip()


def _printable(message: str) -> str:
    """A server's words cannot move the cursor."""
    return "".join(character if character.isprintable() else "�" for character in message)


def _warnings(runs: Iterable[Measurement]) -> list[Text]:
    lines = []
    for run in runs:
        if run.num_unsent:
            lines.append(
                f"{_label(run)}: {run.num_unsent:,} requests were never sent: the server does not keep up with the rate"
                " and latencies grow as long as it is offered"
            )
        if run.is_lower_bound:
            lines.append(
                f"{_label(run)}: the load generator itself took {run.client_cpu_share:.0%} of a core (from"
                f" {SATURATED_SHARE:.0%} on it may be what is slow): images/s are a lower bound, latencies an upper one"
            )
    return [Text(line, "yellow") for line in lines]
