"""The slope of block means and its interval."""

import random

import pytest

from bench.faults.trend import student, trend

SECONDS = [2.0 * index for index in range(1500)]


def test_a_straight_line_is_found_exactly() -> None:
    """Without noise the interval is the slope itself; what does not fill a block is left out at the beginning."""
    found = trend(SECONDS[:-7], [100 + 0.5 * second for second in SECONDS[:-7]])
    assert (found.slope, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))


def test_what_stays_the_same_does_not_grow() -> None:
    """The interval of a constant is no wider than 0."""
    found = trend(SECONDS, [123.0] * len(SECONDS))
    assert (found.slope, found.low, found.high, found.correlation) == (0, 0, 0, 0)


def test_the_interval_holds_as_often_as_it_says() -> None:
    """Of 400 series whose neighbours resemble each other and that do not grow, about one in twenty is found to."""
    source = random.Random(0)
    num_wrong = sum(not (found := trend(SECONDS, _wandering(source))).low <= 0 <= found.high for _ in range(400))
    assert 8 <= num_wrong <= 40


def test_growth_is_told_from_noise() -> None:
    """A slope of a few noise widths over the whole time lies in the interval, and 0 does not."""
    noise = _wandering(random.Random(1))
    slope = 20 / SECONDS[-1]
    found = trend(SECONDS, [each + slope * second for each, second in zip(noise, SECONDS, strict=True)])
    assert 0 < found.low <= slope <= found.high


def test_steps_show_in_the_correlation() -> None:
    """Where a line does not fit, what it leaves of a block resembles what it leaves of the next."""
    assert trend(SECONDS, [float(second > 1500) for second in SECONDS]).correlation > 0.5


def test_too_few_samples_are_no_trend() -> None:
    """Each block needs one at least."""
    with pytest.raises(ValueError, match="19 samples came; expected at least 20"):
        trend(SECONDS[:19], SECONDS[:19])


@pytest.mark.parametrize(("num_free", "expected"), [(5, 2.5706), (10, 2.2281), (18, 2.1009), (120, 1.9799)])
def test_student(num_free: int, expected: float) -> None:
    """As in the tables of Student's t, two sides of 95 %."""
    assert student(num_free) == pytest.approx(expected, rel=1e-3)


def _wandering(source: random.Random) -> list[float]:
    """Noise that takes some ten samples to forget itself, with a standard deviation of about 2."""
    value, values = 0.0, []
    for _ in SECONDS:
        value = 0.9 * value + source.gauss(0, 1)
        values.append(value)
    return values
