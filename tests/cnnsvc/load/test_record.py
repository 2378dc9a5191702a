"""The figures of a load."""

import math

import numpy as np
import pytest

from cnnsvc.classification import Timings
from cnnsvc.load.call import Answer, Failure
from cnnsvc.load.record import CURVE_PERCENTILES, FailureCount, Latencies, Record, percentiles
from cnnsvc.load.schedule import Plan, Window

_ANSWER = Answer("flowers", 1, Timings(1.0, 2.0, 3.0, 7.0))
_WINDOW = Window(warm_up_begins=0, begins=10, ends=20)
_PLAN = Plan(concurrency=2, duration_seconds=10, warm_up_seconds=10)


def test_percentiles_are_latencies_of_requests() -> None:
    """Of 1,000 values the one that so many of them do not exceed; nothing between two of them is made up."""
    values = np.arange(1, 1001, dtype=np.float64)
    assert percentiles(values, (0, 50, 90, 99, 99.9, 100)) == [1, 500, 900, 990, 999, 1000]
    assert percentiles(values[:3], (50, 99.9)) == [2, 3]


def test_only_the_window_counts() -> None:
    """Latencies of requests that started in it, and a rate of the answers that came in it."""
    record = Record()
    for start, end in [(1, 2), (9.5, 10.5), (10, 10.1), (15, 15.2), (19.9, 20.3)]:
        record.add(start, end, _ANSWER)
    found = record.measurement(_PLAN, _WINDOW)
    assert found.num_answered == 3
    assert found.latency_ms == Latencies(200, 400, 400, 400, 400)
    assert (found.seconds, found.images_per_second) == (10, 0.3)
    assert found.server_median_ms == {"decode": 1, "queue": 2, "inference": 3, "total": 7}


def test_a_load_that_is_over_early_is_measured_up_to_its_last_answer() -> None:
    """After --max-requests nothing more is sent, so the rest of the duration does not count."""
    record = Record()
    for index in range(4):
        record.add(10 + index, 11 + index, _ANSWER)
    found = record.measurement(Plan(1, duration_seconds=10, max_requests=4), _WINDOW)
    assert (found.seconds, found.images_per_second) == (4, 1)


def test_failures_count_for_being_over_early() -> None:
    """A load of --max-requests of which one failed was sent as soon as one of which none did."""
    record = Record()
    record.add(10, 11, _ANSWER)
    record.add(11, 12, Failure("400", "invalid", "bad"))
    record.add(12, 14, _ANSWER)
    found = record.measurement(Plan(1, duration_seconds=10, max_requests=3), _WINDOW)
    assert (found.seconds, found.images_per_second) == (4, 0.5)


def test_answers_that_all_come_too_late_still_make_a_rate() -> None:
    """Where a request takes longer than the duration, its time is that until the answers."""
    record = Record()
    record.add(10, 30, _ANSWER)
    record.add(10, 30, _ANSWER)
    found = record.measurement(_PLAN, _WINDOW)
    assert (found.seconds, found.images_per_second) == (20, 0.1)


def test_failures_are_counted_by_status_and_kind() -> None:
    """With the first message of each, most frequent first; they are in no latency."""
    record = Record()
    record.add(10, 11, _ANSWER)
    for index, failure in enumerate([Failure("429", "overloaded", "full"), *[Failure("400", "invalid", "bad")] * 2]):
        record.add(11 + index, 19, failure)
    record.add(12, 13, Failure("400", "invalid", "bad as well"))
    record.add(1, 2, Failure("500", "internal", "in the warm-up"))
    found = record.measurement(_PLAN, _WINDOW)
    assert found.failures == [FailureCount("400", "invalid", 3, "bad"), FailureCount("429", "overloaded", 1, "full")]
    assert (found.num_failed, found.num_answered) == (4, 1)
    assert found.latency_ms == Latencies(*[1000.0] * 5)


def test_nothing_was_answered() -> None:
    """There are no latencies then, and no rate."""
    found = Record().measurement(_PLAN, _WINDOW)
    assert (found.num_answered, found.images_per_second) == (0, 0)
    assert found.latency_ms is None
    assert found.server_median_ms is None


@pytest.mark.parametrize(("cpu_seconds", "is_lower_bound"), [(0.5, False), (9.5, True)])
def test_a_generator_that_is_busy_says_so(cpu_seconds: float, is_lower_bound: bool) -> None:
    """From nine tenths of a core on, what was measured may be the generator."""
    record = Record()
    record.cpu_seconds, record.wall_seconds = cpu_seconds, 10.0
    found = record.measurement(_PLAN, _WINDOW)
    assert (found.client_cpu_share, found.is_lower_bound) == (cpu_seconds / 10, is_lower_bound)


def test_the_curve_goes_by_nines() -> None:
    """From 0 to 99.99 per cent, with 90 and 99 on the way."""
    assert CURVE_PERCENTILES[0] == 0
    assert math.isclose(CURVE_PERCENTILES[-1], 99.99)
    assert any(math.isclose(each, 90) for each in CURVE_PERCENTILES)
