"""Swaps versions under load, again and again, and prints what callers saw of it as a Markdown table.

    python -m bench.faults.swaps [--bundle models/NAME/VERSION] [--swaps 100] [--interval-seconds 6]

The load comes by the clock over HTTP at 80 % of what the server can do, from the same machine; copies of the bundle
appear under new numbers meanwhile, and deleted when they are two versions old. A request is one of a swap when
it was under way between the appearance of a version and half a second after its first answer. Ends with 1 where a
request failed, a version did not go live, or a figure is missed: see Bounds.
"""

import argparse
import os
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from bench.offered import Asked, Offered, offer, percentile, resident_mib
from bench.photographs import generated
from bench.table import format_number
from cnnsvc import bundle
from cnnsvc.load.call import Answer, Query
from cnnsvc.load.http_caller import HttpCaller, http_requests
from cnnsvc.load.schedule import Plan
from cnnsvc.load.target import read_target
from cnnsvc.manifest import MANIFEST_NAME, read_manifest, write_manifest
from cnnsvc.pixels import Pixels
from tests.bundles import write_bundle
from tests.e2e.server import Server, serving
from tests.encoded import encode

LOAD: Final = 0.8
_NUM_CONNECTIONS: Final = 64
_CAPACITY_SECONDS: Final = 60.0
_LEAST_SECONDS: Final = 10
"""Capacity is the least of as long a part of a closed loop: what the machine can do all the time."""
_SETTLE_SECONDS: Final = 0.5
_PATIENCE_SECONDS: Final = 60.0
_TIMEOUT_MS: Final = 10_000
_PROBATION_SECONDS: Final = 5
_NAME: Final = "flowers"


@dataclass(frozen=True)
class Bounds:
    p99_ratio: float = 2.0
    """Of requests during swaps to all others."""
    memory_ratio: float = 1.1


@dataclass
class Swap:
    version: int
    appeared: float
    """time.perf_counter() seconds, as all times here."""
    answered: float = 0.0
    """When an answer of this version came first; 0 is never."""

    @property
    def settled(self) -> float:
        return (self.answered or float("inf")) + _SETTLE_SECONDS


@dataclass
class Found:
    capacity: float
    load: Offered
    swaps: list[Swap]
    before_mib: float
    after_mib: float
    peak_mib: float
    log: list[str] = field(default_factory=list)

    def is_during(self, asked: Asked) -> bool:
        return any(asked.start <= swap.settled and asked.end >= swap.appeared for swap in self.swaps)

    def p99_ms(self, *, during: bool) -> float:
        return percentile([each.milliseconds for each in self.load.asked if self.is_during(each) is during], 99)

    def median_p99_ms(self, *, during: bool) -> float:
        """Over the swaps, of what began during each or from its end to the next: other programs spoil few of them."""
        ends = [*(swap.appeared for swap in self.swaps[1:]), float("inf")]
        spans = [
            (swap.appeared, swap.settled) if during else (swap.settled, end)
            for swap, end in zip(self.swaps, ends, strict=True)
        ]
        times = [[each.milliseconds for each in self.load.asked if low <= each.start < high] for low, high in spans]
        return percentile([percentile(each, 99) for each in times if each], 50)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bundle", type=Path, help="default is a very small network")
    parser.add_argument("--swaps", type=int, default=100)
    parser.add_argument("--interval-seconds", type=float, default=6)
    arguments = parser.parse_args()
    found = run(arguments.bundle, arguments.swaps, arguments.interval_seconds)
    missed = problems(found, Bounds())
    sys.stdout.write(table(found))
    sys.stdout.writelines(f"- PROBLEM: {problem}\n" for problem in missed)
    sys.exit(1 if missed else 0)


def run(
    source: Path | None,
    num_swaps: int,
    interval_seconds: float,
    load: float = LOAD,
    capacity_seconds: float = _CAPACITY_SECONDS,
) -> Found:
    with tempfile.TemporaryDirectory() as work:
        models_dir = Path(work)
        publish(models_dir, source)
        options = ("--models-dir", models_dir, "--probation-seconds", _PROBATION_SECONDS)
        with serving(*options) as server:
            images = _images(models_dir)
            capacity = _least_rate(_offer(server, images, Plan(_NUM_CONNECTIONS, capacity_seconds, 2.0)))
            pid = server.process.pid
            # Two swaps first: what they leave, such as the code of the proof, is left once.
            for _ in range(2):
                _swap(models_dir)
                time.sleep(interval_seconds)
            time.sleep(_PROBATION_SECONDS + 2)
            swaps: list[Swap] = []
            before, peak = resident_mib(pid), [0.0]
            swapping = threading.Thread(
                target=_swap_all, args=(models_dir, num_swaps, interval_seconds, swaps, peak, pid)
            )
            swapping.start()
            seconds = (num_swaps + 1) * interval_seconds
            found = _offer(server, images, Plan(_NUM_CONNECTIONS, seconds, 1.0, rate_per_second=load * capacity))
            swapping.join()
            time.sleep(_PROBATION_SECONDS + 2)
            _note_answers(swaps, found)
            return Found(capacity, found, swaps, before, resident_mib(pid), peak[0], list(server.log))


def problems(found: Found, bounds: Bounds) -> list[str]:
    failed = [each for each in found.load.asked if not isinstance(each.outcome, Answer)]
    missed = [f"{len(failed)} requests failed, the first with {failed[0].outcome}"] if failed else []
    missed += [f"version {swap.version} never answered" for swap in found.swaps if not swap.answered]
    during, outside = found.p99_ms(during=True), found.p99_ms(during=False)
    if not outside:
        missed.append("there was no time without a swap under way: a longer --interval-seconds is needed")
    elif during > bounds.p99_ratio * outside:
        missed.append(f"p99 during swaps is {during:.1f} ms, {during / outside:.1f} times that outside of them")
    if found.after_mib > bounds.memory_ratio * found.before_mib:
        missed.append(f"resident memory grew from {found.before_mib:.0f} to {found.after_mib:.0f} MiB")
    if errors := [line for line in found.log if " ERROR " in line]:
        missed.append(f"the server's log has an error: {errors[0].strip()}")
    return missed


def table(found: Found) -> str:
    seconds = sorted(swap.answered - swap.appeared for swap in found.swaps if swap.answered)
    lines = ["| requests | number | p50 ms | p99 ms | failed |", "|---|---:|---:|---:|---:|"]
    for name, during in (("outside of swaps", False), ("during swaps", True)):
        asked = [each for each in found.load.asked if found.is_during(each) is during]
        times = [each.milliseconds for each in asked]
        failed = sum(not isinstance(each.outcome, Answer) for each in asked)
        cells = [name, str(len(asked)), *(format_number(percentile(times, part)) for part in (50, 99)), str(failed)]
        lines.append(f"| {' | '.join(cells)} |")
    medians = [found.median_p99_ms(during=during) for during in (True, False)]
    lines.append(
        f"\np99 of a single swap's requests, median over the swaps: {medians[0]:.1f} ms; from its end to the next swap:"
        f" {medians[1]:.1f} ms.\n"
        f"\n{len(found.swaps)} swaps under {len(found.load.asked) / found.load.seconds:.0f} images/s, {LOAD:.0%} of"
        f" {found.capacity:.0f}. From a version's appearance to its first answer: median"
        f" {percentile(seconds, 50):.1f} s, longest {percentile(seconds, 100):.1f} s. Resident memory"
        f" {found.before_mib:.0f} MiB before, {found.after_mib:.0f} after, {found.peak_mib:.0f} at most."
        " CPU in cores:"
        f" client {found.load.client_cpu_share:.2f}, server {found.load.server_cpu_share:.2f},"
        f" others {found.load.other_cpu_share:.2f}."
    )
    return "\n".join(lines) + "\n"


def publish(models_dir: Path, source: Path | None) -> int:
    """A copy of the bundle, or a very small one, as the next version: its number."""
    if source is None:
        return int(write_bundle(models_dir, _NAME, seed=time.perf_counter_ns() % 1000).name)
    with bundle.staging(models_dir / _NAME) as folder:
        shutil.copytree(source, folder, dirs_exist_ok=True)
        (folder / "manifest.json").unlink()
        manifest = msgspec.structs.replace(read_manifest(source), name=_NAME)
        return int(bundle.publish(folder, manifest).name)


def _swap(models_dir: Path) -> Swap:
    """The files of the version before once more, by links and in one step: who swaps takes no CPU from who serves."""
    model_dir = models_dir / _NAME
    *old, latest = bundle.versions(model_dir)
    version = latest + 1
    staged = model_dir / f".{version}"
    shutil.copytree(model_dir / str(latest), staged, copy_function=os.link)
    (staged / MANIFEST_NAME).unlink()
    write_manifest(staged, msgspec.structs.replace(read_manifest(model_dir / str(latest)), version=version))
    appeared = time.perf_counter()
    staged.rename(model_dir / str(version))
    for number in old:
        shutil.rmtree(model_dir / str(number))
    return Swap(version, appeared)


def _swap_all(
    models_dir: Path,
    num_swaps: int,
    interval_seconds: float,
    swaps: list[Swap],
    peak: list[float],
    pid: int,
) -> None:
    for _ in range(num_swaps):
        swaps.append(_swap(models_dir))
        next_at = time.perf_counter() + interval_seconds
        while time.perf_counter() < next_at:
            peak[0] = max(peak[0], resident_mib(pid))
            time.sleep(0.1)


def _least_rate(load: Offered) -> float:
    """Answers a second in the slowest part of the load."""
    ends = [each.end for each in load.asked if isinstance(each.outcome, Answer)]
    counts, _ = np.histogram(ends, np.arange(min(ends), max(ends), min(_LEAST_SECONDS, load.seconds / 2)))
    return float(counts.min() / min(_LEAST_SECONDS, load.seconds / 2))


def _note_answers(swaps: list[Swap], load: Offered) -> None:
    first: dict[int, float] = {}
    for asked in load.asked:
        if isinstance(asked.outcome, Answer):
            version = asked.outcome.version
            first[version] = min(first.get(version, asked.end), asked.end)
    for swap in swaps:
        swap.answered = first.get(swap.version, 0.0)


def _images(models_dir: Path) -> list[bytes]:
    """Photograph-like JPEGs of the size that the network takes."""
    (version, *_) = bundle.versions(models_dir / _NAME)
    shape = read_manifest(models_dir / _NAME / str(version)).image
    return [encode("JPEG", _pixels(seed, shape.width, shape.height)) for seed in range(8)]


def _pixels(seed: int, width: int, height: int) -> Pixels:
    return np.asarray(generated(seed).resize((width, height)))


def _offer(server: Server, images: list[bytes], plan: Plan) -> Offered:
    target = read_target(server.http_url, is_stream=False)
    requests = http_requests(target, Query(images, timeout_ms=_TIMEOUT_MS))
    return offer(
        plan,
        lambda: [HttpCaller(target, requests, 2 * _TIMEOUT_MS) for _ in range(plan.concurrency)],
        len(images),
        server.process.pid,
    )


if __name__ == "__main__":
    main()
