"""Sends malformed and hostile HTTP/2 to a real server's gRPC port while good calls go on over both doors.

    python -m bench.faults.frames [--bundle models/NAME/VERSION] [--seconds 30]

Two processes make every attack of bench.faults.frame_attacks in turn; half-open connections stay open until the end.
Prints what the server had to say to each. Ends with 1 where the server ends, logs an error or counts an internal one, a
good call fails or is answered wrong, or a figure is missed: see Bounds.
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.faults.frame_attacks import attacks
from bench.faults.good_calls import GoodCalls, failures, p99_ms
from bench.faults.http2 import Peer
from bench.faults.server_faults import server_faults
from bench.faults.watch import Usage, settled
from bench.offered import Offered
from cnnsvc.load.schedule import Plan
from tests.bundles import write_bundle
from tests.e2e.server import serving

Verdicts = dict[str, Counter[str]]

_NUM_ATTACKERS: Final = 2
_PAUSE_SECONDS: Final = 0.005
_PATIENCE_SECONDS: Final = 0.1
"""For a verdict: a server waits for more of some attacks."""
_MOST_HELD: Final = 300
"""Half-open connections of one attacker at a time."""
_RATE_PER_SECOND: Final = 40
_NUM_HTTP: Final = 4
_NUM_CHANNELS: Final = 4


@dataclass(frozen=True)
class Bounds:
    p99_ratio: float = 5.0
    """Of good calls beside attacks to those before: loose, since the attackers need the CPUs too."""
    least_p99_ms: float = 50.0
    """Whatever it was before."""
    growth_mib: float = 16.0


@dataclass(frozen=True)
class Found:
    verdicts: Verdicts
    alone: Offered
    beside: Offered
    before: Usage
    after: Usage
    faults: list[str]

    @property
    def num_attacks(self) -> int:
        return sum(each.total() for each in self.verdicts.values())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bundle", type=Path, help="default is a very small network")
    parser.add_argument("--seconds", type=float, default=30)
    arguments = parser.parse_args()
    found = run(arguments.bundle, arguments.seconds)
    missed = list(problems(found, Bounds()))
    sys.stdout.write(table(found))
    sys.stdout.writelines(f"- PROBLEM: {problem}\n" for problem in missed)
    sys.exit(1 if missed else 0)


def run(bundle: Path | None, seconds: float) -> Found:
    spawn = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as work,
        serving("--bundle", bundle or write_bundle(Path(work))) as server,
        ProcessPoolExecutor(_NUM_ATTACKERS, mp_context=spawn) as pool,
    ):
        calls = GoodCalls(server)
        plan = Plan(_NUM_HTTP + _NUM_CHANNELS, seconds, 1.0, rate_per_second=_RATE_PER_SECOND)
        # Each attack once before anything is measured: what code and buffers take, they take once.
        list(pool.map(attack_for, [server.grpc_address] * _NUM_ATTACKERS, [0.0] * _NUM_ATTACKERS))
        alone = calls.offer(plan, num_http=_NUM_HTTP, num_channels=_NUM_CHANNELS)
        before = settled(server.process.pid)
        attacking = [pool.submit(attack_for, server.grpc_address, seconds) for _ in range(_NUM_ATTACKERS)]
        beside = calls.offer(plan, num_http=_NUM_HTTP, num_channels=_NUM_CHANNELS)
        verdicts = _merge([each.result() for each in attacking])
        after = settled(server.process.pid, lambda now: now.num_descriptors <= before.num_descriptors)
        faults = server_faults(server)
    return Found(verdicts, alone, beside, before, after, faults)


def problems(found: Found, bounds: Bounds) -> Iterator[str]:
    yield from found.faults
    yield from [f"good call: {failure}" for failure in failures(found.alone) + failures(found.beside)][:10]
    alone, beside = p99_ms(found.alone), p99_ms(found.beside)
    if beside > max(bounds.least_p99_ms, bounds.p99_ratio * alone):
        yield f"p99 of good calls rose from {alone:.1f} to {beside:.1f} ms"
    if found.after.num_descriptors > found.before.num_descriptors:
        yield f"file descriptors rose from {found.before.num_descriptors} to {found.after.num_descriptors}"
    if found.after.mib > found.before.mib + bounds.growth_mib:
        yield f"resident memory grew from {found.before.mib:.0f} to {found.after.mib:.0f} MiB"


def table(found: Found) -> str:
    lines = ["| attack | times | answered with |", "|---|---:|---|"]
    for name, verdicts in found.verdicts.items():
        shown = ", ".join(f"{verdict} {number}×" for verdict, number in verdicts.most_common(4))
        lines.append(f"| {name} | {verdicts.total()} | {shown} |")
    num_good, num_failed = len(found.beside.asked), len(failures(found.beside))
    before, after, load = found.before, found.after, found.beside
    lines.append(
        f"\n{found.num_attacks:,} attacks; {num_good:,} good calls beside them, {num_failed} failed,"
        f" p99 {p99_ms(found.alone):.1f} ms alone and {p99_ms(load):.1f} beside. Resident memory {before.mib:.0f} MiB"
        f" before and {after.mib:.0f} after; file descriptors {before.num_descriptors} and {after.num_descriptors}. CPU"
        f" in cores: server {load.server_cpu_share:.2f}, good callers {load.client_cpu_share:.2f}, all others"
        f" {load.other_cpu_share:.2f}."
    )
    return "\n".join(lines) + "\n"


def attack_for(address: str, seconds: float) -> Verdicts:
    """Every attack once at least, then on for so long."""
    verdicts: Verdicts = {attack.name: Counter() for attack in attacks()}
    held: list[Peer] = []
    give_up, is_first = time.monotonic() + seconds, True
    while is_first or time.monotonic() < give_up:
        for attack in attacks():
            if not is_first and time.monotonic() > give_up:
                break
            peer = Peer.connect(address)
            peer.send(attack.bytes_sent)
            verdicts[attack.name][peer.verdict(0.0 if attack.is_half_open else _PATIENCE_SECONDS)] += 1
            if attack.is_half_open and len(held) < _MOST_HELD:
                held.append(peer)
            else:
                peer.close()
            time.sleep(_PAUSE_SECONDS)
        is_first = False
    for peer in held:
        peer.close()
    return verdicts


def _merge(parts: list[Verdicts]) -> Verdicts:
    return {name: sum((part[name] for part in parts), Counter()) for name in parts[0]}


if __name__ == "__main__":
    main()
