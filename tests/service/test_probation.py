"""A fresh version is judged by the share of its images that it fails."""

import pytest

from service.probation import ProbationLimits, fails
from service.registry import Tally

LIMITS = ProbationLimits(seconds=60, max_error_share=0.1, min_images=10)


@pytest.mark.parametrize(
    ("num_answered", "num_failed", "age_seconds", "expected"),
    [
        (90, 10, 1, False),
        (90, 11, 1, True),
        (0, 9, 1, False),
        (0, 10, 1, True),
        (0, 100, 60, True),
        (0, 100, 61, False),
    ],
)
def test_share_number_and_age_count(num_answered: int, num_failed: int, age_seconds: float, expected: bool) -> None:
    """More than the accepted share, of enough images, within the time."""
    assert fails(Tally(num_answered, num_failed), age_seconds, LIMITS) is expected
