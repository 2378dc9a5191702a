"""Sends mutated images through the pixel function and over the wire, and prints what became of them.

    python -m bench.faults.images [--number 200000] [--bundle models/NAME/VERSION] [--keep FOLDER]

JPEG, PNG, WebP, GIF and BMP, the same ones in every run (bench.faults.mutants): all of them through
cnnsvc.pixels.decode in a process of its own, then one half over HTTP and the other over a gRPC stream to a real server.
Ends with 1 where a process crashed or hung, an answer is of a kind that no image deserves, or memory grew
(bench.faults.watch.growth_mib) by more than Bounds allows; the mutants that did it are kept in the folder.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import uvloop

from bench.faults.decoded import Decoded, decode_all
from bench.faults.mutants import mutant
from bench.faults.server_faults import server_faults
from bench.faults.watch import growth_mib, sampled_mib
from cnnsvc.errors import Kind
from cnnsvc.load.call import Answer, Caller, Query
from cnnsvc.load.grpc_caller import StreamCaller
from cnnsvc.load.http_caller import HttpCaller, http_requests
from cnnsvc.load.target import read_target
from tests.bundles import write_bundle
from tests.e2e.server import Server, serving

_EXPECTED: Final = ("ok", Kind.INVALID, Kind.TOO_LARGE)
_CHUNK: Final = 1000
_NUM_CONNECTIONS: Final = 8
_STREAM_WINDOW: Final = 32
_TIMEOUT_MS: Final = 30_000


@dataclass(frozen=True)
class Bounds:
    growth_mib: float = 16.0
    """Of 100,000 requests half lie between the two figures: each of them would have to leave 336 bytes."""


@dataclass(frozen=True)
class Row:
    through: str
    kinds: Counter[str]
    culprits: dict[int, str]
    samples_mib: list[float]
    seconds: float
    faults: list[str] = field(default_factory=list)

    @property
    def num_images(self) -> int:
        return sum(self.kinds.values())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--number", type=int, default=200_000)
    parser.add_argument("--bundle", type=Path, help="default is a very small network")
    parser.add_argument("--keep", type=Path, default=Path("culprits"), help="folder for mutants that did harm")
    arguments = parser.parse_args()
    rows = run(arguments.number, arguments.bundle)
    missed = problems(rows, Bounds())
    sys.stdout.write(table(rows))
    sys.stdout.writelines(f"- PROBLEM: {problem}\n" for problem in missed)
    _keep(rows, arguments.keep)
    sys.exit(1 if missed else 0)


def run(num_images: int, bundle: Path | None = None) -> list[Row]:
    decoded: Decoded = decode_all(num_images)
    rows = [Row("decode", decoded.kinds, decoded.culprits, decoded.samples_mib, decoded.seconds)]
    with tempfile.TemporaryDirectory() as work, serving("--bundle", bundle or write_bundle(Path(work))) as server:
        half = num_images // 2
        rows.append(_send(server, "HTTP", range(half)))
        rows.append(_send(server, "gRPC stream", range(half, num_images)))
    return rows


def problems(rows: list[Row], bounds: Bounds) -> list[str]:
    missed = [f"{row.through}: {fault}" for row in rows for fault in row.faults]
    for row in rows:
        strange = {kind: number for kind, number in row.kinds.items() if kind not in _EXPECTED}
        missed += [f"{row.through}: {number} of kind {kind or 'none'}" for kind, number in strange.items()]
        missed += [f"{row.through}: mutant {number}: {what}" for number, what in list(row.culprits.items())[:10]]
        if (growth := growth_mib(row.samples_mib)) > bounds.growth_mib:
            missed.append(f"{row.through}: resident memory grew by {growth:.1f} MiB")
    return missed


def table(rows: list[Row]) -> str:
    lines = [
        "| through | images | ok | invalid | too large | other | images/s | MiB: least, most | growth |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        known = [row.kinds[kind] for kind in _EXPECTED]
        lines.append(
            f"| {row.through} | {row.num_images:,} | {' | '.join(f'{number:,}' for number in known)} |"
            f" {row.num_images - sum(known)} | {row.num_images / row.seconds:,.0f} |"
            f" {min(row.samples_mib):.0f}, {max(row.samples_mib):.0f} | {growth_mib(row.samples_mib):+.1f} |"
        )
    return "\n".join(lines) + "\n"


def _send(server: Server, door: str, numbers: range) -> Row:
    kinds: Counter[str] = Counter()
    culprits: dict[int, str] = {}
    started = time.monotonic()
    with sampled_mib(server.process.pid) as samples, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for first in range(numbers.start, numbers.stop, _CHUNK):
            chunk = range(first, min(first + _CHUNK, numbers.stop))
            for number, kind in runner.run(_ask(server, door, chunk)).items():
                kinds[kind] += 1
                if kind not in _EXPECTED:
                    culprits[number] = f"answered as {kind or 'nothing known'}"
            if server.process.poll() is not None:
                break
    return Row(door, kinds, culprits, samples, time.monotonic() - started, server_faults(server))


async def _ask(server: Server, door: str, numbers: range) -> dict[int, str]:
    """What became of each: ok, or the kind of its refusal."""
    query = Query([mutant(number) for number in numbers], timeout_ms=_TIMEOUT_MS)
    callers, places, found = _callers(server, door, query), iter(range(len(numbers))), dict[int, str]()

    async def work(caller: Caller) -> None:
        for place in places:
            outcome = await caller.ask(place)
            found[numbers[place]] = "ok" if isinstance(outcome, Answer) else str(outcome.kind)

    try:
        await asyncio.gather(*map(work, callers))
    finally:
        for caller in dict.fromkeys(callers):
            await caller.close()
    return found


def _callers(server: Server, door: str, query: Query) -> list[Caller]:
    if door == "HTTP":
        target = read_target(server.http_url, is_stream=False)
        requests = http_requests(target, query)
        return [HttpCaller(target, requests, 2 * _TIMEOUT_MS) for _ in range(_NUM_CONNECTIONS)]
    return [StreamCaller(server.grpc_address, query)] * _STREAM_WINDOW


def _keep(rows: list[Row], folder: Path) -> None:
    for number in {number for row in rows for number in row.culprits}:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"mutant-{number}").write_bytes(mutant(number))


if __name__ == "__main__":
    main()
