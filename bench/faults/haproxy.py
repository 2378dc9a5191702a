"""Kills one of three replicas behind a real HAProxy and drains another, under load; prints a Markdown table.

    python -m bench.faults.haproxy [--bundle models/NAME/VERSION] [--rounds 10] [--pause-ms 4000]

Each round starts the replicas and HAProxy with deploy/haproxy/haproxy.cfg. Callers without a pause come over HTTP and
over one gRPC channel, try nothing again, except HTTP on a connection that was closed without a word, and every third
image is too large for HAProxy to send it again. Ends with 1 where a request is lost that was not under way at the
killed replica, or the drained one's status is not 0. With --pause-ms 0 what the drained one loses is shown only.
"""

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.faults.balancer import Balancer, Logged, balancing, read_log
from bench.offered import Asked, Offered, offer, percentile
from bench.table import format_number
from cnnsvc.load.call import Answer, Caller, Query
from cnnsvc.load.grpc_caller import GrpcCaller
from cnnsvc.load.http_caller import HttpCaller, http_requests
from cnnsvc.load.images import make_images
from cnnsvc.load.schedule import Plan
from cnnsvc.load.target import read_target
from tests.bundles import write_bundle
from tests.e2e.server import serving

PAUSE_MS: Final = 4000
KILLED, DRAINED, KEPT = REPLICAS = ("one", "two", "three")
DOORS: Final = {"http": "HTTP", "grpc": "gRPC"}
_NUM_CALLERS: Final = 8
"""Of each door."""
_QUIET_SECONDS: Final = 3.0
"""Of load before, between and after the two; HAProxy needs two of them to see that a replica is gone."""
_HEARD_SECONDS: Final = 0.1
"""Requests go over a connection until HAProxy, on a busy machine, comes to read of its end."""
_TIMEOUT_MS: Final = 20_000
_GIVE_UP_SECONDS: Final = 60
_NUM_SHOWN: Final = 20
"""Of the problems; a balancer that does not balance has thousands."""


@dataclass(frozen=True)
class Round:
    """Times are seconds of time.perf_counter()."""

    loads: dict[str, Offered]
    """By door."""
    killed_at: float
    dead_at: float
    drained_at: float
    ended_at: float
    """When the drained replica had ended."""
    status: int
    """That the drained replica ended with."""
    logged: list[Logged]

    def under_way(self, door: str) -> list[Asked]:
        """At whichever replica, from SIGKILL until HAProxy has heard of the end of the process."""
        heard = self.dead_at + _HEARD_SECONDS
        return [each for each in self.loads[door].asked if each.end >= self.killed_at and each.start <= heard]

    def draining(self, door: str) -> list[Asked]:
        """Those that were under way between SIGTERM and the replica's end."""
        return [each for each in self.loads[door].asked if each.end >= self.drained_at and each.start <= self.ended_at]

    def lost_otherwise(self, door: str) -> list[Asked]:
        known = {id(each) for each in self.under_way(door) + self.draining(door)}
        return [each for each in lost(self.loads[door].asked) if id(each) not in known]


def lost(asked: Iterable[Asked]) -> list[Asked]:
    return [each for each in asked if not isinstance(each.outcome, Answer)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bundle", type=Path, help="default is a very small network")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--pause-ms", type=int, default=PAUSE_MS)
    arguments = parser.parse_args()
    haproxy = shutil.which("haproxy")
    if haproxy is None:
        sys.exit("haproxy is not installed: apt-get install haproxy")
    rounds = [run(haproxy, arguments.bundle, arguments.pause_ms) for _ in range(arguments.rounds)]
    missed = problems(rounds, arguments.pause_ms)
    sys.stdout.write(table(rounds, arguments.pause_ms))
    sys.stdout.writelines(f"- PROBLEM: {problem}\n" for problem in missed[:_NUM_SHOWN])
    if len(missed) > _NUM_SHOWN:
        sys.stdout.write(f"- and {len(missed) - _NUM_SHOWN} more\n")
    sys.exit(1 if missed else 0)


def run(haproxy: str, bundle: Path | None, pause_ms: int) -> Round:
    query = Query([*make_images("180x180").images[:2], make_images("1440x1080").images[0]], timeout_ms=_TIMEOUT_MS)
    with tempfile.TemporaryDirectory() as work, contextlib.ExitStack() as stack:
        options = ("--bundle", bundle or write_bundle(Path(work)), "--shutdown-pause-ms", pause_ms)
        replicas = {name: stack.enter_context(serving(*options)) for name in REPLICAS}
        balancer = stack.enter_context(balancing(haproxy, replicas, Path(work)))
        pool = stack.enter_context(ThreadPoolExecutor(2))
        seconds = 3 * _QUIET_SECONDS + pause_ms / 1000
        loads = {door: pool.submit(_load, balancer, query, door, seconds) for door in DOORS}
        time.sleep(_QUIET_SECONDS)
        killed_at = time.perf_counter()
        replicas[KILLED].process.kill()
        replicas[KILLED].process.wait(timeout=_GIVE_UP_SECONDS)
        dead_at = time.perf_counter()
        time.sleep(_QUIET_SECONDS)
        drained_at = time.perf_counter()
        replicas[DRAINED].process.terminate()
        status = replicas[DRAINED].process.wait(timeout=_GIVE_UP_SECONDS)
        ended_at = time.perf_counter()
        offered = {door: load.result() for door, load in loads.items()}
        logged = read_log(balancer.log.read_text().splitlines())
        return Round(offered, killed_at, dead_at, drained_at, ended_at, status, logged)


def problems(rounds: Sequence[Round], pause_ms: int) -> list[str]:
    return [f"round {number}: {what}" for number, one in enumerate(rounds, 1) for what in _problems(one, pause_ms)]


def table(rounds: Sequence[Round], pause_ms: int) -> str:
    lines = [
        "| over | answered | p50 / p99 ms | under way at SIGKILL | lost of them | under way in the drain | lost of them"
        " | lost otherwise | sent again |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
        *(_row(rounds, door) for door in DOORS),
    ]
    shares = Counter(each.replica for one in rounds for each in one.logged if each.door == "grpc")
    dealt = ", ".join(f"{shares[name]:,}" for name in REPLICAS)
    ends = sorted(one.ended_at - one.drained_at for one in rounds)
    lines.append(
        f"\n{len(rounds)} rounds, {_NUM_CALLERS} callers over HTTP and {_NUM_CALLERS} on one gRPC channel, a pause of"
        f" {pause_ms} ms. From SIGTERM to the end of the drained replica: median {percentile(ends, 50):.1f} s, longest"
        f" {ends[-1]:.1f} s. The calls of the gRPC channels were dealt to the killed replica, the drained one and the"
        f" third: {dealt}."
    )
    return "\n".join(lines) + "\n"


def _problems(one: Round, pause_ms: int) -> Iterator[str]:
    if one.status:
        yield f"the drained replica ended with {one.status}"
    for door in DOORS:
        if not one.under_way(door):
            yield f"nothing was under way over {door} when SIGKILL came"
        drained = lost(one.draining(door)) if pause_ms else []
        for each in one.lost_otherwise(door) + drained:
            begins, ends = each.start - one.killed_at, each.end - one.killed_at
            yield f"lost over {door}, {begins:.2f} to {ends:.2f} s after SIGKILL: {each.outcome}"
    if pause_ms:
        for entry in one.logged:
            if entry.replica in (DRAINED, KEPT) and (entry.status >= 500 or not entry.is_whole):
                yield f"HAProxy tells of {entry}"


def _row(rounds: Sequence[Round], door: str) -> str:
    times = [each.milliseconds for one in rounds for each in one.loads[door].of("ok")]
    under_way = [each for one in rounds for each in one.under_way(door)]
    draining = [each for one in rounds for each in one.draining(door)]
    cells = [
        DOORS[door],
        f"{len(times):,}",
        f"{format_number(percentile(times, 50))} / {format_number(percentile(times, 99))}",
        f"{len(under_way):,}",
        f"{len(lost(under_way)):,}",
        f"{len(draining):,}",
        f"{len(lost(draining)):,}",
        f"{sum(len(one.lost_otherwise(door)) for one in rounds):,}",
        f"{sum(each.was_sent_again for one in rounds for each in one.logged if each.door == door):,}",
    ]
    return f"| {' | '.join(cells)} |"


def _load(balancer: Balancer, query: Query, door: str, seconds: float) -> Offered:

    def callers() -> Sequence[Caller]:
        if door == "grpc":
            return [GrpcCaller(balancer.grpc_address, query)] * _NUM_CALLERS
        target = read_target(balancer.http_url, is_stream=False)
        requests = http_requests(target, query)
        return [HttpCaller(target, requests, 2 * _TIMEOUT_MS) for _ in range(_NUM_CALLERS)]

    return offer(Plan(_NUM_CALLERS, seconds), callers, len(query.images), balancer.process.pid)


if __name__ == "__main__":
    main()
