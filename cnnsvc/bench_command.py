"""`cnnsvc bench`: flags to a load on a running server, and its figures."""

import re
import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from cnnsvc.errors import InvalidError
from cnnsvc.identity_settings import IdentitySettings
from cnnsvc.load.call import Query
from cnnsvc.load.drive import measure
from cnnsvc.load.images import DEFAULT_SIZE, LoadImages, make_images, read_images
from cnnsvc.load.report import Report, print_report, report_json, save_picture
from cnnsvc.load.schedule import Plan
from cnnsvc.load.target import DEFAULT_URL, read_target
from cnnsvc.options import with_settings

app = typer.Typer(add_completion=False)

_MAX_CONCURRENCY: Final = 1024


@app.command()
@with_settings(IdentitySettings)
def bench(
    settings: IdentitySettings,
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL",
            show_default=False,
            help="http://HOST:PORT or grpc://HOST:PORT of a running server, https:// or grpcs:// where it encrypts;"
            " default is http://127.0.0.1:8501.",
        ),
    ] = DEFAULT_URL,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="IMAGE|FOLDER...", help="Images to send, or folders of images; default is made JPEGs."),
    ] = None,
    concurrency: Annotated[
        str, typer.Option(help="Requests under way at once; several such as 1,8,32 are measured one after the other.")
    ] = "8",
    duration_seconds: Annotated[
        float, typer.Option(help="Length of each measurement, in seconds.", min=0.1, max=86_400)
    ] = 10.0,
    warm_up_seconds: Annotated[
        float, typer.Option(help="Load before each that does not count.", min=0, max=86_400)
    ] = 1.0,
    max_requests: Annotated[
        int | None, typer.Option(help="End each measurement early, after so many requests.", min=1)
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            help="Requests offered a second, however slow the answers are; latency counts from when each was to start,"
            " so that waiting behind slow answers is part of it (no coordinated omission).",
            min=0.001,
            max=100_000,
        ),
    ] = None,
    stream: Annotated[bool, typer.Option("--stream", help="With grpc://: all images over one stream.")] = False,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT of the made JPEGs; default is 180x180.")] = None,
    model: Annotated[str, typer.Option(help="Model of the server; default is its only one.")] = "",
    version: Annotated[int, typer.Option(help="Version of the model; 0 is its default.", min=0)] = 0,
    top_k: Annotated[int | None, typer.Option(help="Classes to ask for; default is 5 at most.", min=1)] = None,
    timeout_ms: Annotated[int, typer.Option(help="Longest wait for one answer, in milliseconds.", min=1)] = 30_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    svg: Annotated[Path | None, typer.Option(help="Save the report as a picture, too.")] = None,
) -> None:
    """Measure how fast a running server classifies; exit status 1 if a request failed, 2 if the server is not ready."""
    if "://" not in url:
        url, paths = DEFAULT_URL, [Path(url), *(paths or [])]
    target = read_target(url, is_stream=stream)
    if svg is not None and not svg.parent.is_dir():
        raise InvalidError(f"--svg is {svg}, and there is no folder {svg.parent}")
    plans = [
        Plan(each, duration_seconds, warm_up_seconds, max_requests, rate) for each in read_concurrencies(concurrency)
    ]
    images = _images(paths, size)
    identity = settings.identity(is_encrypted=target.is_encrypted)
    if identity.tls and not target.is_encrypted:
        raise InvalidError(f"{url} is not encrypted; expected https:// or grpcs:// with --tls and certificates")
    query = Query(images.images, model, version, top_k, timeout_ms, identity)
    first, runs = measure(target, query, plans, _say)
    report = Report(
        url=url,
        protocol=target.protocol,
        model=first.model,
        version=first.version,
        images=images.description,
        warm_up_seconds=warm_up_seconds,
        duration_seconds=duration_seconds,
        rate_per_second=rate,
        runs=runs,
    )
    _show(report, as_json=as_json, svg=svg)
    if num_failed := sum(run.num_failed for run in runs):
        sys.stderr.write(f"cnnsvc: {num_failed:,} of {num_failed + _num_answered(report):,} requests failed\n")
        raise typer.Exit(1)


def read_concurrencies(words: str) -> list[int]:
    """Numbers with commas between them, each once, in their order. Raises InvalidError."""
    if not re.fullmatch(r"\d{1,4}(,\d{1,4})*", words):
        raise InvalidError(f"--concurrency is {words!r}; expected a number, or several such as 1,8,32")
    numbers = list(dict.fromkeys(map(int, words.split(","))))
    if wrong := [number for number in numbers if not 1 <= number <= _MAX_CONCURRENCY]:
        raise InvalidError(f"--concurrency has {wrong[0]}; allowed are 1 to {_MAX_CONCURRENCY}")
    return numbers


def _images(paths: list[Path] | None, size: str | None) -> LoadImages:
    if not paths:
        return make_images(size or DEFAULT_SIZE)
    if size is not None:
        raise InvalidError("--size is for made images; expected it or images, and not both")
    return read_images(paths)


def _say(plan: Plan) -> None:
    """Tells a person who waits what for; a moving display would take time from the load."""
    if sys.stderr.isatty():
        seconds = plan.warm_up_seconds + plan.duration_seconds
        sys.stderr.write(f"{plan.concurrency} at once, {seconds:g} s …\n")


def _show(report: Report, *, as_json: bool, svg: Path | None) -> None:
    if as_json:
        sys.stdout.write(report_json(report).decode() + "\n")
    else:
        print_report(report, Console(highlight=False))
    if svg is not None:
        try:
            save_picture(report, svg)
        except OSError as error:
            raise InvalidError(f"--svg {svg} cannot be written: {error.strerror}") from None


def _num_answered(report: Report) -> int:
    return sum(run.num_answered for run in report.runs)
