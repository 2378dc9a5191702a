"""Intervals of shares against published figures."""

import pytest

from training.intervals import wilson_interval


def test_the_interval() -> None:
    """Wilson's interval, with the figures of statsmodels.stats.proportion.proportion_confint."""
    assert wilson_interval(119 / 187, 187) == pytest.approx((0.5653, 0.7019), abs=5e-4)
    assert wilson_interval(1.0, 60) == pytest.approx((0.9398, 1.0), abs=5e-4)
    assert wilson_interval(0.0, 1)[0] == pytest.approx(0)
