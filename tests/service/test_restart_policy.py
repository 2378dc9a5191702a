"""When workers are started again, and when the service gives up."""

import pytest

from service.restart_policy import (
    LONGEST_DELAY_SECONDS,
    MAX_STARTS,
    SHORT_LIFE_SECONDS,
    gives_up,
    num_short_lives,
    restart_delay_seconds,
)


def test_the_first_ends_cost_no_delay() -> None:
    """A worker that is killed once or twice, however early or late, is started again at once."""
    assert restart_delay_seconds(num_short_lives(0, SHORT_LIFE_SECONDS + 1, has_served=True)) == 0
    assert restart_delay_seconds(num_short_lives(0, 0.0, has_served=True)) == 0
    assert restart_delay_seconds(num_short_lives(1, 0.0, has_served=True)) == 0


def test_short_lives_in_a_row_are_slowed_down() -> None:
    """The delay doubles from a second to its bound, and stays there for good."""
    delays, count = [], 0
    for _ in range(9):
        count = num_short_lives(count, 0.5, has_served=False)
        delays.append(restart_delay_seconds(count))
    assert delays == [0, 0, 1, 2, 4, 8, 16, 30, 30]
    assert restart_delay_seconds(10**9) == LONGEST_DELAY_SECONDS


def test_a_long_life_clears_the_short_ones() -> None:
    """A worker that ran well for a while is as good as new."""
    assert num_short_lives(7, SHORT_LIFE_SECONDS, has_served=True) == 0
    assert num_short_lives(7, SHORT_LIFE_SECONDS, has_served=False) == 8


@pytest.mark.parametrize("is_reason_known", [True, False])
def test_a_service_that_has_served_goes_on(is_reason_known: bool) -> None:
    """Whatever ails one worker, the others are left to serve."""
    assert not gives_up(10**6, is_reason_known=is_reason_known, has_any_served=True)


def test_a_reason_at_the_start_ends_it_at_once() -> None:
    """A bundle that is refused is not tried again."""
    assert gives_up(1, is_reason_known=True, has_any_served=False)


def test_an_end_without_a_reason_is_tried_again_but_not_for_ever() -> None:
    """Workers that die at their start without a word get a few starts in all."""
    outcomes = [gives_up(count, is_reason_known=False, has_any_served=False) for count in range(1, MAX_STARTS + 1)]
    assert outcomes == [False] * (MAX_STARTS - 1) + [True]
