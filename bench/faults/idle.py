"""Opens 1,000 idle and 100 slow connections to a real server while good calls go on over both doors.

    python -m bench.faults.idle [--bundle models/NAME/VERSION] [--seconds 30] [--idle 1000] [--slow 100]

One half of each over HTTP, the other over gRPC; slow ones send one byte of their request's head, or of their first
HTTP/2 frames, a second. Those that the server closes are made again at once. Ends with 1 where a good call fails or is
answered wrong, the server has an error, or a figure is missed: see Bounds.
"""

import argparse
import resource
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.faults.good_calls import GoodCalls, failures, p99_ms
from bench.faults.idle_clients import Numbers, idle_clients
from bench.faults.server_faults import server_faults
from bench.faults.watch import Usage, settled, usage
from bench.offered import Offered, percentile
from cnnsvc.load.schedule import Plan
from tests.bundles import write_bundle
from tests.e2e.server import serving

_RATE_PER_SECOND: Final = 40
_NUM_HTTP: Final = 4
_NUM_CHANNELS: Final = 4
_LEAST_SHARE: Final = 0.95
"""Of the connections, at the moment of counting: some are just being made again."""
_OTHER_DESCRIPTORS: Final = 200


@dataclass(frozen=True)
class Bounds:
    p99_ratio: float = 3.0
    """Of good calls beside them to those before: loose, since other programs of the machine come and go."""
    least_p99_ms: float = 50.0
    """Whatever it was before."""


@dataclass(frozen=True)
class Found:
    numbers: Numbers
    alone: Offered
    beside: Offered
    before: Usage
    during: Usage
    after: Usage
    ended: Counter[str]
    """Connections that the server closed, by kind."""
    faults: list[str]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bundle", type=Path, help="default is a very small network")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--idle", type=int, default=1000)
    parser.add_argument("--slow", type=int, default=100)
    arguments = parser.parse_args()
    found = run(arguments.bundle, arguments.seconds, arguments.idle, arguments.slow)
    missed = list(problems(found, Bounds()))
    sys.stdout.write(table(found))
    sys.stdout.writelines(f"- PROBLEM: {problem}\n" for problem in missed)
    sys.exit(1 if missed else 0)


def run(bundle: Path | None, seconds: float, num_idle: int, num_slow: int) -> Found:
    _allow_descriptors(num_idle + num_slow + _OTHER_DESCRIPTORS)
    numbers = Numbers(num_idle // 2, num_idle - num_idle // 2, num_slow // 2, num_slow - num_slow // 2)
    plan = Plan(_NUM_HTTP + _NUM_CHANNELS, seconds, 1.0, rate_per_second=_RATE_PER_SECOND)
    with (
        tempfile.TemporaryDirectory() as work,
        serving("--bundle", bundle or write_bundle(Path(work))) as server,
    ):
        calls, pid = GoodCalls(server), server.process.pid
        alone = calls.offer(plan, num_http=_NUM_HTTP, num_channels=_NUM_CHANNELS)
        before = settled(pid)
        with idle_clients(numbers, server.http_url.removeprefix("http://"), server.grpc_address) as ended:
            beside = calls.offer(plan, num_http=_NUM_HTTP, num_channels=_NUM_CHANNELS)
            during = usage(pid)
        after = settled(pid, lambda now: now.num_descriptors <= before.num_descriptors)
        faults = server_faults(server)
    return Found(numbers, alone, beside, before, during, after, ended, faults)


def problems(found: Found, bounds: Bounds) -> Iterator[str]:
    yield from found.faults
    yield from [f"good call: {failure}" for failure in failures(found.alone) + failures(found.beside)][:10]
    alone, beside = p99_ms(found.alone), p99_ms(found.beside)
    if beside > max(bounds.least_p99_ms, bounds.p99_ratio * alone):
        yield f"p99 of good calls rose from {alone:.1f} to {beside:.1f} ms"
    if (num_held := found.during.num_descriptors - found.before.num_descriptors) < _LEAST_SHARE * found.numbers.total:
        yield f"the server held {num_held} of {found.numbers.total} connections"
    if found.after.num_descriptors > found.before.num_descriptors:
        yield f"file descriptors rose from {found.before.num_descriptors} to {found.after.num_descriptors}"


def table(found: Found) -> str:
    lines = ["| good calls | number | failed | p50 ms | p99 ms |", "|---|---:|---:|---:|---:|"]
    for name, load in (("alone", found.alone), ("beside them", found.beside)):
        times = [each.milliseconds for each in load.of("ok")]
        cells = [name, str(len(load.asked)), str(len(failures(load)))]
        lines.append(f"| {' | '.join(cells)} | {percentile(times, 50):.1f} | {p99_ms(load):.1f} |")
    numbers, before, during, after = found.numbers, found.before, found.during, found.after
    ended = ", ".join(f"{number} {name}" for name, number in sorted(found.ended.items())) or "none"
    lines.append(
        f"\nIdle: {numbers.idle_http} over HTTP, {numbers.idle_grpc} over gRPC; slow: {numbers.slow_http} and"
        f" {numbers.slow_grpc}. The server closed: {ended}. File descriptors: {before.num_descriptors} before,"
        f" {during.num_descriptors} with them, {after.num_descriptors} after; resident memory {before.mib:.0f},"
        f" {during.mib:.0f} and {after.mib:.0f} MiB."
    )
    return "\n".join(lines) + "\n"


def _allow_descriptors(number: int) -> None:
    """To this process and those that it starts. Raises ValueError where the system allows fewer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number:
        resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))


if __name__ == "__main__":
    main()
