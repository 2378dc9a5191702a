"""What a load observed, and the figures that this comes to; pure."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cnnsvc.load.call import Answer, Failure, Outcome
from cnnsvc.load.schedule import Plan, Window

Floats = NDArray[np.float64]
SATURATED_SHARE: Final = 0.9
"""Of one core: Python computes on one at a time, so a generator that takes this much may be what is slow."""


@dataclass(frozen=True)
class Latencies:
    """In milliseconds; each is the latency of a request, none is interpolated."""

    p50: float
    p90: float
    p99: float
    p99_9: float
    max: float


@dataclass(frozen=True)
class FailureCount:
    status: str
    kind: str
    num: int
    first_message: str


@dataclass(frozen=True)
class Measurement:
    """The figures of one plan. Failures have no part in rate and latencies; None is where nothing was answered."""

    concurrency: int
    rate_per_second: float | None
    num_answered: int
    num_failed: int
    num_unsent: int
    seconds: float
    images_per_second: float
    latency_ms: Latencies | None
    server_median_ms: dict[str, float] | None
    """By stage, as the answers say."""
    failures: list[FailureCount]
    client_cpu_share: float
    """Of one core, all threads of the generator together."""
    is_lower_bound: bool
    """Whether the generator may have been what was slow."""
    curve_ms: Sequence[float] = field(default=(), repr=False)
    """The latency at each of CURVE_PERCENTILES."""


def _curve_percentiles() -> list[float]:
    """0 to 99.99 in equal steps of the number of nines, where the tail has as much room as the middle."""
    return [float(100 * (1 - 10**-nines)) for nines in np.linspace(0, 4, 161)]


CURVE_PERCENTILES: Final = _curve_percentiles()
_STAGES: Final = ("decode", "queue", "inference", "total")


class Record:
    """Takes every outcome; columns of numbers, so that a long load stays small."""

    def __init__(self) -> None:
        self.cpu_seconds = 0.0
        self.wall_seconds = 0.0
        self.num_unsent = 0
        self._starts = array("d")
        self._ends = array("d")
        self._stages = {stage: array("d") for stage in _STAGES}
        self._failures: list[tuple[float, Failure]] = []

    def add(self, start: float, end: float, outcome: Outcome) -> None:
        """`start` is when it was to start; both in seconds of the schedule's clock."""
        if isinstance(outcome, Answer):
            self._starts.append(start)
            self._ends.append(end)
            for stage, column in self._stages.items():
                column.append(getattr(outcome.timings, f"{stage}_ms"))
        else:
            self._failures.append((start, outcome))

    def measurement(self, plan: Plan, window: Window) -> Measurement:
        """Of the requests that were to start within the window; answers a second are those that came within it."""
        starts, ends = np.array(self._starts), np.array(self._ends)
        counts = (starts >= window.begins) & (starts < window.ends)
        latencies_ms = np.sort((ends - starts)[counts]) * 1000
        failed = [failure for start, failure in self._failures if window.begins <= start < window.ends]
        seconds = _seconds(ends[counts], len(failed), plan, window)
        num_came = np.count_nonzero((ends >= window.begins) & (ends <= window.begins + seconds))
        failures = _count(failed)
        cpu_share = self.cpu_seconds / self.wall_seconds if self.wall_seconds else 0.0
        has_answers = len(latencies_ms) > 0
        return Measurement(
            concurrency=plan.concurrency,
            rate_per_second=plan.rate_per_second,
            num_answered=len(latencies_ms),
            num_failed=sum(each.num for each in failures),
            num_unsent=self.num_unsent,
            seconds=round(seconds, 3),
            images_per_second=round(float(num_came) / seconds, 2),
            latency_ms=_latencies(latencies_ms) if has_answers else None,
            server_median_ms=self._medians(counts) if has_answers else None,
            failures=failures,
            client_cpu_share=round(cpu_share, 3),
            is_lower_bound=cpu_share >= SATURATED_SHARE,
            curve_ms=percentiles(latencies_ms, CURVE_PERCENTILES) if has_answers else (),
        )

    def _medians(self, counts: NDArray[np.bool_]) -> dict[str, float]:
        return {stage: round(float(np.median(np.array(column)[counts])), 3) for stage, column in self._stages.items()}


def percentiles(sorted_values: Floats, wanted: Sequence[float]) -> list[float]:
    """Of each percentage: the smallest value that at least so many are not above."""
    # In floats, 99.9 per cent of 1,000 are a little more than 999; numpy's inverted_cdf takes the 1,000th value then.
    ranks = np.ceil(np.array(wanted) / 100 * len(sorted_values) - 1e-6).astype(np.int64)
    return [float(value) for value in sorted_values[np.maximum(ranks, 1) - 1]]


def _latencies(sorted_ms: Floats) -> Latencies:
    return Latencies(*(round(value, 3) for value in percentiles(sorted_ms, (50, 90, 99, 99.9, 100))))


def _seconds(ends: Floats, num_failed: int, plan: Plan, window: Window) -> float:
    """The duration; up to the last answer where all were sent before it was over, or none came until then."""
    if len(ends) and (len(ends) + num_failed == plan.max_requests or ends.min() > window.ends):
        return float(ends.max()) - window.begins
    return plan.duration_seconds


def _count(failures: Iterable[Failure]) -> list[FailureCount]:
    """By status and kind, the most frequent first."""
    found: dict[tuple[str, str], list[Failure]] = {}
    for failure in failures:
        found.setdefault((failure.status, failure.kind), []).append(failure)
    counts = [FailureCount(*which, len(those), those[0].message) for which, those in found.items()]
    return sorted(counts, key=lambda each: -each.num)
