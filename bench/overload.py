"""Offers a real server five times what it can do, and prints what it made of it as a Markdown table.

    python -m bench.overload [--bundle models/NAME/VERSION] [--size 4000x3000] [--seconds 60] [--deadline-ms 500]

What it can do is measured in a closed loop before and after; the load comes by the clock over HTTP, from the same
machine. Ends with 1 where the server ends or logs an error, an outcome is none of answered, refused as overloaded and
late, or a figure is missed: see Bounds.
"""

import argparse
import contextlib
import io
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image, ImageOps

from bench.offered import Offered, offer, peak_resident_mib, percentile, resident_mib
from bench.photographs import generated
from bench.table import format_number
from cnnsvc.errors import Kind
from cnnsvc.load.call import Query
from cnnsvc.load.http_caller import HttpCaller, http_requests
from cnnsvc.load.schedule import Plan
from cnnsvc.load.target import read_target
from tests.bundles import write_bundle
from tests.e2e.server import Server, serving

SIZE: Final = "4000x3000"
FACTOR: Final = 5
NUM_CONNECTIONS: Final = 256
_NUM_CALLERS: Final = 8
"""Of the closed loop: enough to keep the streams of a small machine busy, too few to wait long."""
_NUM_PICTURES: Final = 4
_JPEG_QUALITY: Final = 50
_WARM_UP_SECONDS: Final = 1.0
_PATIENCE_MS: Final = 10_000
"""Longer than any deadline: that an answer is late is for the server to say."""


@dataclass(frozen=True)
class Bounds:
    accepted_share: float = 0.9
    """Answers a second, of the capacity."""
    refusal_p50_ms: float = 10.0
    growth_mib: float = 256.0
    """From the resident memory after the first closed loop to the most under load: what --queue-limit-bytes allows."""


@dataclass(frozen=True)
class Found:
    """What a run observed; `closed` before and after `open`."""

    closed: tuple[Offered, Offered]
    open: Offered
    rate_per_second: float
    deadline_ms: int
    before_mib: float
    peak_mib: float
    faults: list[str]

    @property
    def capacity(self) -> float:
        """The mean of both, since other programs of the machine come and go."""
        return sum(each.images_per_second for each in self.closed) / 2

    @property
    def accepted_p99_ms(self) -> float:
        """Late ones are among the accepted: leaving them out would make any server punctual."""
        return percentile([each.milliseconds for each in self.open.of("ok", Kind.LATE)], 99)

    @property
    def refusal_p50_ms(self) -> float:
        return percentile([each.milliseconds for each in self.open.refused], 50)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bundle", type=Path, help="default is a very small network, so that decoding is the work")
    parser.add_argument("--size", default=SIZE, help="of the progressive JPEGs that are sent, in pixels")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--deadline-ms", type=int, default=500)
    arguments = parser.parse_args()
    found = run(arguments.bundle, arguments.size, arguments.seconds, arguments.deadline_ms)
    missed = problems(found, Bounds())
    sys.stdout.write(table(found))
    sys.stdout.writelines(f"- PROBLEM: {problem}\n" for problem in missed)
    sys.exit(1 if missed else 0)


def run(bundle: Path | None, size: str, seconds: float, deadline_ms: int) -> Found:
    images = pictures(size)
    with _bundle(bundle) as folder, serving("--bundle", folder) as server:
        closed_seconds = min(10.0, max(2.0, seconds / 3))
        before = _closed(server, images, closed_seconds)
        rate = FACTOR * before.images_per_second
        before_mib = resident_mib(server.process.pid)
        with peak_resident_mib(server.process.pid) as peak:
            overload = _open(server, images, rate, seconds, deadline_ms)
        after = _closed(server, images, closed_seconds)
        faults = _faults(server)
    return Found((before, after), overload, rate, deadline_ms, before_mib, peak[0], faults)


def problems(found: Found, bounds: Bounds) -> list[str]:
    strange = {each.kind for each in found.open.asked} - {"ok", Kind.OVERLOADED, Kind.LATE}
    missed = [*found.faults, *(f"outcomes of kind {kind!r} came" for kind in sorted(strange))]
    if found.accepted_p99_ms > found.deadline_ms:
        missed.append(f"p99 of the accepted is {found.accepted_p99_ms:.0f} ms; the deadline is {found.deadline_ms} ms")
    if found.refusal_p50_ms > bounds.refusal_p50_ms:
        missed.append(f"p50 of the refusals is {found.refusal_p50_ms:.1f} ms; allowed are {bounds.refusal_p50_ms} ms")
    if found.open.images_per_second < bounds.accepted_share * found.capacity:
        missed.append(
            f"{found.open.images_per_second:.1f} images/s were answered;"
            f" {bounds.accepted_share:.0%} of {found.capacity:.1f} are expected"
        )
    if found.peak_mib > found.before_mib + bounds.growth_mib:
        missed.append(f"resident memory grew from {found.before_mib:.0f} to {found.peak_mib:.0f} MiB")
    return missed


def table(found: Found) -> str:
    loads = [("closed loop, before", found.closed[0]), (f"{FACTOR} times as much", found.open)]
    lines = [
        "| load | asked/s | answered/s | p50 / p99 ms | late | refused/s | p50 / p99 ms | CPU: client, server, rest |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
        *(_row(name, load) for name, load in [*loads, ("closed loop, after", found.closed[1])]),
    ]
    unsent = f", {found.open.num_unsent} could not be sent" if found.open.num_unsent else ""
    lines.append(
        f"\n{found.rate_per_second:.0f} a second were offered for {found.open.seconds:.0f} s over {NUM_CONNECTIONS}"
        f" connections, with a deadline of {found.deadline_ms} ms{unsent}. Answered were"
        f" {found.open.images_per_second / found.capacity:.0%} of the capacity; the server held {found.before_mib:.0f}"
        f" MiB before and {found.peak_mib:.0f} MiB at most. Times count from when a request was to start; p99 of the"
        f" accepted, those that were late included, is {found.accepted_p99_ms:.0f} ms. CPU is in cores."
    )
    return "\n".join(lines) + "\n"


def pictures(size: str) -> list[bytes]:
    """Progressive JPEGs of WIDTHxHEIGHT: slow to decode for their bytes, as what a refusal saves should be."""
    width, height = map(int, size.split("x"))
    return [_progressive(generated(seed), (width, height)) for seed in range(_NUM_PICTURES)]


def _progressive(image: Image.Image, size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    fitted = ImageOps.fit(image, size, Image.Resampling.BICUBIC)
    fitted.save(buffer, "JPEG", quality=_JPEG_QUALITY, progressive=True)
    return buffer.getvalue()


def _closed(server: Server, images: list[bytes], seconds: float) -> Offered:
    return _load(server, images, Plan(_NUM_CALLERS, seconds, _WARM_UP_SECONDS), deadline_ms=_PATIENCE_MS)


def _open(server: Server, images: list[bytes], rate: float, seconds: float, deadline_ms: int) -> Offered:
    plan = Plan(NUM_CONNECTIONS, seconds, _WARM_UP_SECONDS, rate_per_second=rate)
    return _load(server, images, plan, deadline_ms=deadline_ms)


def _load(server: Server, images: list[bytes], plan: Plan, *, deadline_ms: int) -> Offered:
    target = read_target(server.http_url, is_stream=False)
    requests = http_requests(target, Query(images, timeout_ms=deadline_ms))
    return offer(
        plan,
        lambda: [HttpCaller(target, requests, deadline_ms + _PATIENCE_MS) for _ in range(plan.concurrency)],
        len(images),
        server.process.pid,
    )


def _row(name: str, load: Offered) -> str:
    answered, refused = load.of("ok"), load.refused
    cells = [
        name,
        format_number(len(load.asked) / load.seconds),
        format_number(load.images_per_second),
        _percentiles([each.milliseconds for each in answered]),
        str(len(load.of(Kind.LATE))),
        format_number(len(refused) / load.seconds),
        _percentiles([each.milliseconds for each in refused]),
        f"{load.client_cpu_share:.2f}, {load.server_cpu_share:.2f}, {load.other_cpu_share:.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def _percentiles(milliseconds: list[float]) -> str:
    if not milliseconds:
        return "–"
    return f"{format_number(percentile(milliseconds, 50))} / {format_number(percentile(milliseconds, 99))}"


def _faults(server: Server) -> list[str]:
    if server.process.poll() is not None:
        return [f"the server ended with {server.process.returncode}"]
    if found := re.search(r"Traceback| ERROR ", log := "".join(server.log)):
        return [f"the server's log has an error:\n{log[max(0, found.start() - 200) :][:3000]}"]
    return []


@contextlib.contextmanager
def _bundle(given: Path | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as models_dir:
        yield given or write_bundle(Path(models_dir))


if __name__ == "__main__":
    main()
