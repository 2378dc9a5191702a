"""Kills one of three replicas behind a real HAProxy and drains another, under load; prints a Markdown table.

    python -m bench.faults.haproxy [--bundle models/NAME/VERSION] [--rounds 10] [--pause-ms 4000]

Each round starts the replicas and HAProxy with deploy/haproxy/haproxy.cfg. As many callers as never leave a replica idle
come over HTTP and over one gRPC channel; of the images one is too large for HAProxy to send it again. Ends with 1 where
a request is lost that was not under way at the killed replica when SIGKILL came, or a status is not 0 at a drained one's
end. With --pause-ms 0 what a drained replica loses is shown only.
"""

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
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
_NUM_CALLERS: Final = 8
"""Of each door."""
_QUIET_SECONDS: Final = 3.0
"""Of load before, between and after the two; HAProxy needs two of them to see that a replica is gone."""
_TIMEOUT_MS: Final = 20_000
_GIVE_UP_SECONDS: Final = 60


@dataclass(frozen=True)
class Round:
    """Times are seconds of time.perf_counter()."""

    loads: dict[str, Offered]
    """By door, http and grpc."""
    killed_at: float
    drained_at: float
    ended_at: float
    """When the drained replica had ended."""
    status: int
    """That the drained replica ended with."""
    logged: list[Logged]

    def lost(self, door: str) -> list[Asked]:
        return [each for each in self.loads[door].asked if not isinstance(each.outcome, Answer)]

    def lost_with_the_killed(self, door: str) -> list[Asked]:
        return [each for each in self.lost(door) if _is_under_way(each, self.killed_at)]

    def lost_in_the_drain(self, door: str) -> list[Asked]:
        others = [each for each in self.lost(door) if not _is_under_way(each, self.killed_at)]
        return [each for each in others if each.end >= self.drained_at]


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
    sys.stdout.writelines(f"- PROBLEM: {problem}\n" for problem in missed)
    sys.exit(1 if missed else 0)


def run(haproxy: str, bundle: Path | None, pause_ms: int) -> Round:
    with tempfile.TemporaryDirectory() as work, contextlib.ExitStack() as stack:
        options = ("--bundle", bundle or write_bundle(Path(work)), "--shutdown-pause-ms", pause_ms)
        replicas = {name: stack.enter_context(serving(*options)) for name in REPLICAS}
        balancer = stack.enter_context(balancing(haproxy, replicas, Path(work)))
        pool = stack.enter_context(ThreadPoolExecutor(2))
        seconds = 3 * _QUIET_SECONDS + pause_ms / 1000
        loads = {door: pool.submit(_load, balancer, door, seconds) for door in ("http", "grpc")}
        time.sleep(_QUIET_SECONDS)
        killed_at = time.perf_counter()
        replicas[KILLED].process.kill()
        time.sleep(_QUIET_SECONDS)
        drained_at = time.perf_counter()
        replicas[DRAINED].process.terminate()
        status = replicas[DRAINED].process.wait(timeout=_GIVE_UP_SECONDS)
        ended_at = time.perf_counter()
        offered = {door: load.result() for door, load in loads.items()}
        logged = read_log(balancer.log.read_text().splitlines())
        return Round(offered, killed_at, drained_at, ended_at, status, logged)


def problems(rounds: Sequence[Round], pause_ms: int) -> list[str]:
    missed = []
    for number, each in enumerate(rounds, 1):
        if each.status:
            missed.append(f"round {number}: the drained replica ended with {each.status}")
        for door in each.loads:
            for lost in each.lost(door):
                is_allowed = _is_under_way(lost, each.killed_at) or (not pause_ms and lost.end >= each.drained_at)
                if not is_allowed:
                    seconds = lost.start - each.killed_at
                    missed.append(f"round {number}, {door}: lost {seconds:+.2f} s from the kill: {lost.outcome}")
        for entry in each.logged:
            if entry.replica in (DRAINED, KEPT) and (entry.status >= 500 or not entry.is_whole) and pause_ms:
                missed.append(f"round {number}: HAProxy's log has {entry}")
    return missed


def table(rounds: Sequence[Round], pause_ms: int) -> str:
    lines = [
        "| over | answered | p50 / p99 ms | under way at SIGKILL | lost of them | during the drain | lost of them"
        " | lost otherwise | sent again |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for door in rounds[0].loads:
        asked = [each for one in rounds for each in one.loads[door].asked]
        times = [each.milliseconds for each in asked if each.kind == "ok"]
        with_killed = _sum(rounds, lambda one, door=door: one.lost_with_the_killed(door))
        drained = _sum(rounds, lambda one, door=door: one.lost_in_the_drain(door))
        cells = [
            {"http": "HTTP", "grpc": "gRPC"}[door],
            f"{len(times):,}",
            f"{format_number(percentile(times, 50))} / {format_number(percentile(times, 99))}",
            str(_sum(rounds, lambda one, door=door: _under_way(one.loads[door].asked, one.killed_at))),
            str(with_killed),
            str(_sum(rounds, lambda one, door=door: _during(one.loads[door].asked, one.drained_at, one.ended_at))),
            str(drained),
            str(_sum(rounds, lambda one, door=door: one.lost(door)) - with_killed - drained),
            str(sum(each.was_sent_again for one in rounds for each in one.logged if each.door == door)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    shares = Counter(each.replica for one in rounds for each in one.logged if each.door == "grpc")
    dealt = ", ".join(f"{shares[name]:,}" for name in REPLICAS)
    ends = sorted(one.ended_at - one.drained_at for one in rounds)
    lines.append(
        f"\n{len(rounds)} rounds, {_NUM_CALLERS} callers over HTTP and {_NUM_CALLERS} on one gRPC channel, a pause of"
        f" {pause_ms} ms. The drained replica ended after {percentile(ends, 50):.1f} s, {ends[-1]:.1f} s at most, with"
        f" status {', '.join(sorted({str(one.status) for one in rounds}))}. The calls of the gRPC channels went to the"
        f" killed replica, the drained one and the one that stayed: {dealt}."
    )
    return "\n".join(lines) + "\n"


def _load(balancer: Balancer, door: str, seconds: float) -> Offered:
    images = [*make_images("180x180").images[:2], make_images("1440x1080").images[0]]
    query = Query(images, timeout_ms=_TIMEOUT_MS)

    def callers() -> Sequence[Caller]:
        if door == "grpc":
            return [GrpcCaller(balancer.grpc_address, query)] * _NUM_CALLERS
        target = read_target(balancer.http_url, is_stream=False)
        requests = http_requests(target, query)
        return [HttpCaller(target, requests, 2 * _TIMEOUT_MS) for _ in range(_NUM_CALLERS)]

    return offer(Plan(_NUM_CALLERS, seconds), callers, len(images), balancer.process.pid)


def _is_under_way(asked: Asked, at: float) -> bool:
    return asked.start <= at <= asked.end


def _under_way(asked: Iterable[Asked], at: float) -> list[Asked]:
    return [each for each in asked if _is_under_way(each, at)]


def _during(asked: Iterable[Asked], begins: float, ends: float) -> list[Asked]:
    return [each for each in asked if each.end >= begins and each.start <= ends]


def _sum(rounds: Iterable[Round], find: Callable[[Round], Sequence[Asked]]) -> int:
    return sum(len(find(one)) for one in rounds)


if __name__ == "__main__":
    main()
