"""Kills one of two workers under load, again and again, and prints what was lost each time and when it was back.

    python -m bench.faults.killed_worker [--bundle models/NAME/VERSION] [--kills 10] [--rate 300]

The load comes by the clock over HTTP and gRPC, from the same machine, and nothing is tried again: of a connection one
call at most is in flight. The worker with more connections is killed. Ends with 1 where more calls fail than Bounds
allows for the connections that it had, one fails at another time, one is answered wrong, the others have an error, or a
worker is not back in time.
"""

import argparse
import contextlib
import os
import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.faults.good_calls import WRONG, GoodCalls
from bench.offered import Asked, Offered, percentile
from cnnsvc.load.call import Answer
from cnnsvc.load.schedule import Plan
from tests.bundles import write_bundle
from tests.e2e.server import Server, serving

INTERVAL_SECONDS: Final = 7.0
"""The victims take turns, and one that lived for less than 10 s may be given a pause."""
_NUM_HTTP: Final = 16
_NUM_CHANNELS: Final = 8
_LOSS_SECONDS: Final = 1.0
"""Within so long after a kill whoever had a call in that worker knows that it is lost."""
_PATIENCE_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.01
_ERROR: Final = re.compile(r" ERROR |Traceback")
_ENDED: Final = re.compile(r"cnnsvc.supervisor worker \d ended after .* SIGKILL")
_CONNECTION: Final = re.compile(r"^\s*\d+: \w+:(\w{4}) \w+:\w{4} 01 (?:\S+ +){5}(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Bounds:
    lost_a_connection: float = 2.0
    """One call in flight, and one on a connection that the kernel still handed to the dying worker's port."""
    back_seconds: float = 2.0


@dataclass(frozen=True)
class Kill:
    at: float
    """time.perf_counter() seconds."""
    num_connections: int
    """Of the worker, each with one call in flight at most."""
    back_seconds: float
    """Until its successor served; infinite where none did."""


@dataclass(frozen=True)
class Found:
    kills: list[Kill]
    load: Offered
    faults: list[str]

    def lost_by(self, kill: Kill) -> list[Asked]:
        return [each for each in self.failed if kill.at <= each.end < kill.at + _LOSS_SECONDS]

    @property
    def failed(self) -> list[Asked]:
        return [each for each in self.load.asked if not isinstance(each.outcome, Answer)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bundle", type=Path, help="default is a very small network")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--rate", type=float, default=300, help="calls a second")
    arguments = parser.parse_args()
    found = run(arguments.bundle, arguments.kills, arguments.rate)
    missed = list(problems(found, Bounds()))
    sys.stdout.write(table(found))
    sys.stdout.writelines(f"- PROBLEM: {problem}\n" for problem in missed)
    sys.exit(1 if missed else 0)


def run(bundle: Path | None, num_kills: int, rate: float, interval_seconds: float = INTERVAL_SECONDS) -> Found:
    with (
        tempfile.TemporaryDirectory() as work,
        serving("--bundle", bundle or write_bundle(Path(work)), "--workers", 2, until="all 2 workers serve") as server,
    ):
        calls, kills = GoodCalls(server), list[Kill]()
        killing = threading.Thread(target=_kill_all, args=(server, num_kills, interval_seconds, kills))
        killing.start()
        plan = Plan(_NUM_HTTP + _NUM_CHANNELS, (num_kills + 1) * interval_seconds, rate_per_second=rate)
        load = calls.offer(plan, num_http=_NUM_HTTP, num_channels=_NUM_CHANNELS)
        killing.join()
        faults = [line for line in server.log if _ERROR.search(line) and not _ENDED.search(line)]
    return Found(kills, load, faults)


def problems(found: Found, bounds: Bounds) -> Iterator[str]:
    yield from found.faults[:10]
    for kill in found.kills:
        if (num_lost := len(found.lost_by(kill))) > bounds.lost_a_connection * kill.num_connections:
            yield f"{num_lost} calls failed with a worker that had {kill.num_connections} connections"
        if kill.back_seconds > bounds.back_seconds:
            yield f"a worker was back after {kill.back_seconds:.1f} s; allowed are {bounds.back_seconds}"
    by_kills = {id(each) for kill in found.kills for each in found.lost_by(kill)}
    for each in found.failed:
        if id(each) not in by_kills or each.kind == WRONG:
            yield f"a call failed that no kill explains: {each.outcome}"


def table(found: Found) -> str:
    lines = ["| kill | connections of the worker | calls lost | back after s |", "|---:|---:|---:|---:|"]
    for number, kill in enumerate(found.kills, 1):
        lines.append(f"| {number} | {kill.num_connections} | {len(found.lost_by(kill))} | {kill.back_seconds:.2f} |")
    answered = [each.milliseconds for each in found.load.of("ok")]
    load = found.load
    lines.append(
        f"\n{len(load.asked):,} calls, {len(load.asked) / load.seconds:.0f} a second, over {_NUM_HTTP} HTTP connections"
        f" and {_NUM_CHANNELS} gRPC channels: {len(answered):,} answered, {len(found.failed)} lost; p99"
        f" {percentile(answered, 99):.1f} ms, longest {percentile(answered, 100):.0f} ms. Longest time until a worker"
        f" was back: {max(kill.back_seconds for kill in found.kills):.2f} s. CPU in cores: server"
        f" {load.server_cpu_share:.2f}, callers {load.client_cpu_share:.2f}, all others {load.other_cpu_share:.2f}."
    )
    return "\n".join(lines) + "\n"


def _kill_all(server: Server, num_kills: int, interval_seconds: float, kills: list[Kill]) -> None:
    next_at = time.monotonic() + interval_seconds
    for number in range(1, num_kills + 1):
        time.sleep(max(0.0, next_at - time.monotonic()))
        next_at += interval_seconds
        victim = max(_workers(server), key=lambda pid: _num_connections(server, pid))
        num_connections = _num_connections(server, victim)
        at = time.perf_counter()
        os.kill(victim, signal.SIGKILL)
        while (is_back := _num_back(server) >= number) is False and time.perf_counter() < at + _PATIENCE_SECONDS:
            time.sleep(_POLL_SECONDS)
        kills.append(Kill(at, num_connections, time.perf_counter() - at if is_back else float("inf")))


def _num_back(server: Server) -> int:
    return sum("serves again after" in line for line in list(server.log))


def _workers(server: Server) -> list[int]:
    """Children of the supervisor."""
    pid = server.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _num_connections(server: Server, pid: int) -> int:
    """Established ones on either of the service's ports; 0 of a process that is gone."""
    ports = {int(address.rpartition(":")[2]) for address in (server.http_url, server.grpc_address)}
    # gRPC's are in the table of IPv6, whatever they are.
    tables = "".join(Path(f"/proc/net/{name}").read_text() for name in ("tcp", "tcp6"))
    inodes = {inode for port, inode in _CONNECTION.findall(tables) if int(port, 16) in ports}
    num_found = 0
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                num_found += entry.readlink().name.removeprefix("socket:[").removesuffix("]") in inodes
    return num_found


if __name__ == "__main__":
    main()
