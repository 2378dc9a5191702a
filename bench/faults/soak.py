"""Load of every kind for an hour: whether memory or file descriptors of the server grow; prints a Markdown table.

    python -m bench.faults.soak [--bundle models/NAME/VERSION] [--seconds 3600] [--samples samples.csv]

Images of several sizes and formats, some of them bad, come by the clock over HTTP and gRPC, at 60 % of what a closed
loop of the same found; connections are made anew each minute, and /metrics is read with each sample. Ends with 1 where
an outcome is not the expected one, the interval of the slope of resident memory (bench.faults.trend) lies above 0, file
descriptors are left over, or the server ends or logs an error.
"""

import argparse
import contextlib
import sys
import tempfile
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.faults.mixture import UNEXPECTED, Mixture, make_mixture
from bench.faults.samples import Sample, sampling
from bench.faults.trend import CONFIDENCE, NUM_BLOCKS, Trend, trend
from bench.faults.watch import settled
from bench.offered import Offered, offer, percentile
from bench.table import format_number
from cnnsvc.load.call import Caller
from cnnsvc.load.schedule import Plan
from tests.bundles import write_bundle
from tests.e2e.server import Server, serving

LOAD: Final = 0.6
_NUM_CALLERS: Final = 8
"""Of the closed loop."""
_NUM_CONNECTIONS: Final = 32
_PIECE_SECONDS: Final = 60.0
_WARM_UP_SHARE: Final = 1 / 6
"""Of the time: what comes first is not asked for its slope."""
_NUM_ROWS: Final = 6
_MIB_PER_HOUR: Final = 3600


@dataclass(frozen=True)
class Bounds:
    low_mib_per_hour: float = 0.0
    """What the lower end of the slope's interval may be."""
    num_left_descriptors: int = 0


@dataclass
class Piece:
    """A minute of the load."""

    begins: float
    """In seconds from the beginning, as those of samples."""
    kinds: Counter[str]
    milliseconds: "array[float]"
    """Of the answers."""
    num_unsent: int
    first_unexpected: str


@dataclass
class Found:
    rate_per_second: float
    pieces: list[Piece] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    num_descriptors_before: int = 0
    num_descriptors_after: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def kinds(self) -> Counter[str]:
        return sum((piece.kinds for piece in self.pieces), Counter())

    def memory(self) -> Trend | None:
        """None where there are too few samples after the warm-up, since the server ended."""
        warm = [each for each in self.samples if each.seconds >= _WARM_UP_SHARE * self.samples[-1].seconds]
        if len(warm) < NUM_BLOCKS:
            return None
        return trend([each.seconds for each in warm], [each.resident_mib for each in warm])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bundle", type=Path, help="default is a very small network")
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--samples", type=Path, help="CSV file that each sample is written to when it is taken")
    arguments = parser.parse_args()
    found = run(arguments.bundle, arguments.seconds, arguments.samples)
    missed = problems(found, Bounds())
    sys.stdout.write(table(found))
    sys.stdout.writelines(f"- PROBLEM: {problem}\n" for problem in missed)
    sys.exit(1 if missed else 0)


def run(bundle: Path | None, seconds: float, samples: Path | None = None) -> Found:
    mixture = make_mixture()
    with _bundle(bundle) as folder, serving("--bundle", folder) as server:
        closed_seconds = min(10.0, max(2.0, seconds / 10))
        closed = _offer(server, mixture, Plan(_NUM_CALLERS, closed_seconds, 1.0))
        found = Found(LOAD * len(closed.asked) / closed.seconds)
        found.num_descriptors_before = settled(server.process.pid).num_descriptors
        with sampling(server, min(2.0, seconds / 3 / NUM_BLOCKS), samples) as (found.samples, failures):
            started = time.perf_counter()
            while (begins := time.perf_counter() - started) < seconds and server.process.poll() is None:
                plan = Plan(
                    _NUM_CONNECTIONS, min(_PIECE_SECONDS, seconds - begins), rate_per_second=found.rate_per_second
                )
                found.pieces.append(_piece(begins, _offer(server, mixture, plan)))
                _tell_progress(found, seconds)
        found.faults += [*failures, *_faults(server)]
        found.num_descriptors_after = settled(server.process.pid).num_descriptors
    return found


def problems(found: Found, bounds: Bounds) -> list[str]:
    missed = list(found.faults)
    if number := found.kinds[UNEXPECTED]:
        first = next(piece.first_unexpected for piece in found.pieces if piece.first_unexpected)
        missed.append(f"{number} outcomes are not the expected ones, the first {first}")
    memory = found.memory()
    if memory is None:
        missed.append(f"{len(found.samples)} samples are too few to say whether memory grows")
    elif (low := memory.low * _MIB_PER_HOUR) > bounds.low_mib_per_hour:
        missed.append(f"resident memory grows, by {low:.2f} MiB an hour at least")
    if (left := found.num_descriptors_after - found.num_descriptors_before) > bounds.num_left_descriptors:
        missed.append(f"{left} file descriptors are left over")
    return missed


def table(found: Found) -> str:
    lines = [
        "| minutes | requests/s | p50 / p99 ms | bad, refused as expected | unexpected | resident MiB, mean"
        " | file descriptors |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *_rows(found),
    ]
    kinds = found.kinds
    times = [each for piece in found.pieces for each in piece.milliseconds]
    num_unsent = sum(piece.num_unsent for piece in found.pieces)
    lines.append(
        f"\n{kinds.total():,} requests in {found.samples[-1].seconds / 60:.1f} minutes, {found.rate_per_second:.0f} a"
        f" second offered, {LOAD:.0%} of the closed loop's; {num_unsent:,} could not be sent in their minute."
        f" {kinds['ok']:,} were answered, p50 {percentile(times, 50):.1f} ms, p99 {percentile(times, 99):.1f} ms;"
        f" {_num_refused(kinds):,} bad ones were refused as expected, {kinds[UNEXPECTED]:,} outcomes were unexpected."
        f" Resident memory after the first sixth: {_slope(found.memory())}. File descriptors without load:"
        f" {found.num_descriptors_before} before, {found.num_descriptors_after} after."
    )
    return "\n".join(lines) + "\n"


def _rows(found: Found) -> Iterator[str]:
    size = -(-len(found.pieces) // _NUM_ROWS)
    for first in range(0, len(found.pieces), size):
        pieces = found.pieces[first : first + size]
        after = found.pieces[first + size : first + size + 1]
        begins, ends = pieces[0].begins, after[0].begins if after else found.samples[-1].seconds
        samples = [each for each in found.samples if begins <= each.seconds <= ends]
        yield _row(begins, ends, pieces, samples)


def _row(begins: float, ends: float, pieces: Sequence[Piece], samples: Sequence[Sample]) -> str:
    kinds: Counter[str] = sum((piece.kinds for piece in pieces), Counter())
    times = [each for piece in pieces for each in piece.milliseconds]
    descriptors = [each.num_descriptors for each in samples] or [0]
    resident = sum(each.resident_mib for each in samples) / max(1, len(samples))
    cells = [
        f"{begins / 60:.1f} to {ends / 60:.1f}",
        format_number(kinds.total() / (ends - begins)),
        f"{format_number(percentile(times, 50))} / {format_number(percentile(times, 99))}",
        f"{_num_refused(kinds):,}",
        f"{kinds[UNEXPECTED]:,}",
        f"{resident:.1f}",
        f"{min(descriptors)} to {max(descriptors)}",
    ]
    return f"| {' | '.join(cells)} |"


def _slope(memory: Trend | None) -> str:
    if memory is None:
        return "too few samples"
    slope, low, high = (_MIB_PER_HOUR * each for each in (memory.slope, memory.low, memory.high))
    return (
        f"slope {slope:+.2f} MiB an hour, {CONFIDENCE:.0%} interval {low:+.2f} to {high:+.2f}"
        f" ({NUM_BLOCKS} block means, correlation of neighbours {memory.correlation:.2f})"
    )


def _num_refused(kinds: Counter[str]) -> int:
    return kinds.total() - kinds["ok"] - kinds[UNEXPECTED]


def _piece(begins: float, load: Offered) -> Piece:
    unexpected = load.of(UNEXPECTED)
    return Piece(
        begins,
        Counter(each.kind for each in load.asked),
        array("f", (each.milliseconds for each in load.of("ok"))),
        load.num_unsent,
        str(unexpected[0].outcome) if unexpected else "",
    )


def _tell_progress(found: Found, seconds: float) -> None:
    piece, sample = found.pieces[-1], found.samples[-1]
    p50, p99 = (percentile(piece.milliseconds, part) for part in (50, 99))
    print(
        f"{sample.seconds:.0f} of {seconds:.0f} s: {piece.kinds.total():,} requests, {piece.kinds[UNEXPECTED]:,}"
        f" unexpected, p50 {p50:.1f} ms, p99 {p99:.1f} ms; {sample.resident_mib:.1f} MiB, {sample.num_descriptors} file"
        " descriptors",
        file=sys.stderr,
        flush=True,
    )


def _offer(server: Server, mixture: Mixture, plan: Plan) -> Offered:
    def callers() -> list[Caller]:
        return mixture.callers(server.http_url, server.grpc_address, plan.concurrency)

    return offer(plan, callers, len(mixture.images), server.process.pid)


def _faults(server: Server) -> list[str]:
    if server.process.poll() is not None:
        return [f"the server ended with {server.process.returncode}"]
    return [f"the server's log has an error: {line.strip()}" for line in server.log if " ERROR " in line][:1]


@contextlib.contextmanager
def _bundle(given: Path | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as models_dir:
        yield given or write_bundle(Path(models_dir))


if __name__ == "__main__":
    main()
