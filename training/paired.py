"""Two networks judged on the same images: whether the one is better, or the other, or chance may have made it look so.

Only images that one of them names right and the other wrong speak for either.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.intervals import wilson_interval

SIGNIFICANCE: Final = 0.05
"""A difference that equal networks show less often than this is called one."""
_NEGLIGIBLE: Final = 1e-17


@dataclass(frozen=True)
class Pairs:
    """Images by who named them right."""

    both_right: int
    only_a: int
    only_b: int
    both_wrong: int

    @property
    def num_images(self) -> int:
        return self.both_right + self.only_a + self.only_b + self.both_wrong

    @property
    def difference(self) -> float:
        """Accuracy of B less that of A."""
        return (self.only_b - self.only_a) / self.num_images


def pairs_of(is_right_a: NDArray[np.bool_], is_right_b: NDArray[np.bool_]) -> Pairs:
    """From bool (N,) of the same images."""
    return Pairs(
        both_right=int((is_right_a & is_right_b).sum()),
        only_a=int((is_right_a & ~is_right_b).sum()),
        only_b=int((~is_right_a & is_right_b).sum()),
        both_wrong=int((~is_right_a & ~is_right_b).sum()),
    )


def mcnemar_p(only_a: int, only_b: int) -> float:
    """How often networks that are equally good differ so much or more: McNemar's exact test, two-sided.

    Each image that only one names right is then the toss of a coin. Source: Q. McNemar, Psychometrika 12, 1947; exact
    by the binomial distribution.
    """
    num_tosses, fewer = only_a + only_b, min(only_a, only_b)
    if 2 * fewer == num_tosses:
        return 1.0
    # Of thousands of tosses the numbers are too large for floats, so the largest one is taken in logarithms.
    term = math.exp(
        math.lgamma(num_tosses + 1)
        - math.lgamma(fewer + 1)
        - math.lgamma(num_tosses - fewer + 1)
        - num_tosses * math.log(2)
    )
    tail = 0.0
    for heads in range(fewer, -1, -1):
        tail += term
        term *= heads / (num_tosses - heads + 1)
        if term <= _NEGLIGIBLE * tail:
            break
    return min(1.0, 2 * tail)


def difference_interval(pairs: Pairs) -> tuple[float, float]:
    """The 95 % interval of the accuracy of B less that of A.

    Source: R. G. Newcombe, Statistics in Medicine 17, 1998, pages 2635 to 2650, method 10: the Wilson intervals of
    both, joined by their correlation.
    """
    num_images = pairs.num_images
    share_b = (pairs.both_right + pairs.only_b) / num_images
    share_a = (pairs.both_right + pairs.only_a) / num_images
    low_b, high_b = wilson_interval(share_b, num_images)
    low_a, high_a = wilson_interval(share_a, num_images)
    correlation = _correlation(pairs)
    below = _joined(share_b - low_b, high_a - share_a, correlation)
    above = _joined(high_b - share_b, share_a - low_a, correlation)
    return pairs.difference - below, pairs.difference + above


def verdict(pairs: Pairs, name_a: str = "A", name_b: str = "B") -> str:
    """In plain words."""
    p = mcnemar_p(pairs.only_a, pairs.only_b)
    if p >= SIGNIFICANCE:
        return f"no difference that {pairs.num_images:,} images could show ({p_text(p)})"
    return f"{name_b if pairs.only_b > pairs.only_a else name_a} is better: {p_text(p)}"


def p_text(p: float) -> str:
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.4f}"


def _correlation(pairs: Pairs) -> float:
    """Phi, with Newcombe's correction for continuity where it is positive; 0 where a margin is empty."""
    margins = (
        (pairs.both_right + pairs.only_a)
        * (pairs.only_b + pairs.both_wrong)
        * (pairs.both_right + pairs.only_b)
        * (pairs.only_a + pairs.both_wrong)
    )
    product = float(pairs.both_right * pairs.both_wrong - pairs.only_a * pairs.only_b)
    if product > 0:
        product = max(0.0, product - pairs.num_images / 2)
    return product / math.sqrt(margins) if margins else 0.0


def _joined(reach_b: float, reach_a: float, correlation: float) -> float:
    return math.sqrt(max(0.0, reach_b**2 - 2 * correlation * reach_b * reach_a + reach_a**2))
