"""When a worker that ended is started again, and when the whole service gives up: pure arithmetic, no clock."""

from typing import Final

SHORT_LIFE_SECONDS: Final = 10.0
"""A worker that ended sooner may end so again."""
FIRST_DELAY_SECONDS: Final = 1.0
LONGEST_DELAY_SECONDS: Final = 30.0
NUM_AT_ONCE: Final = 2
"""Short lives in a row after which a worker is still started at once."""
MAX_STARTS: Final = 3
"""Of a worker that says nothing, such as one that is killed, before any worker has served."""


def num_short_lives(before: int, life_seconds: float, *, has_served: bool) -> int:
    """Short lives of a worker in a row, after one more life; a long one in which it served clears them."""
    return 0 if has_served and life_seconds >= SHORT_LIFE_SECONDS else before + 1


def restart_delay_seconds(num_short_lives: int) -> float:
    """0 after a long life and after the first short ones; then 1 s, doubled with each further one, up to 30 s."""
    if num_short_lives <= NUM_AT_ONCE:
        return 0.0
    # Exponents are bounded: a worker may crash for weeks.
    return min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * (1 << min(num_short_lives - NUM_AT_ONCE - 1, 10)))


def gives_up(num_short_lives: int, *, is_reason_known: bool, has_any_served: bool) -> bool:
    """Whether the service ends with its worker.

    Once a worker has served, never: the others go on, and what ails this one may pass. Before that, a reason of ours,
    such as a bundle that is refused, would be the same next time; a worker that ended without one gets more starts.
    """
    if has_any_served:
        return False
    return is_reason_known or num_short_lives >= MAX_STARTS
