"""Whether a quantity grows: the slope of the line through its block means, with a confidence interval.

Samples a few seconds apart resemble each other, and a line through them would seem far surer than it is; means of long
blocks hardly do. Source: the method of batch means, with 10 to 30 of them as B. Schmeiser advises ("Batch size effects
in the analysis of simulation output", Operations Research 30, 1982, pp. 556 to 568); the interval is that of ordinary
least squares with Student's t.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np

NUM_BLOCKS: Final = 20
CONFIDENCE: Final = 0.95


@dataclass(frozen=True)
class Trend:
    """In the quantity's unit a second."""

    slope: float
    low: float
    high: float
    correlation: float
    """Of what the line leaves of each block with that of the next one; near 1 the interval is narrower than is true."""


def trend(seconds: Sequence[float], values: Sequence[float], num_blocks: int = NUM_BLOCKS) -> Trend:
    """Blocks are of equal numbers of samples, what is over is left out at the beginning. Raises ValueError of few."""
    size = len(values) // num_blocks
    if size < 1 or num_blocks < 3:
        raise ValueError(f"{len(values)} samples came; expected at least {max(num_blocks, 3)}, one for each block")
    times, means = (
        np.array(each)[-size * num_blocks :].reshape(num_blocks, size).mean(1) for each in (seconds, values)
    )
    from_middle = times - times.mean()
    spread = float((from_middle**2).sum())
    slope = float((from_middle * means).sum()) / spread
    left = means - means.mean() - slope * from_middle
    num_free = num_blocks - 2
    margin = student(num_free) * math.sqrt(float((left**2).sum()) / num_free / spread)
    return Trend(slope, slope - margin, slope + margin, _correlation(left.tolist()))


def student(num_free: int, confidence: float = CONFIDENCE) -> float:
    """How many standard errors the interval reaches to either side, to 0.1 % from 5 degrees of freedom on.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return math.fsum(term / math.pow(num_free, power) for power, term in enumerate(terms))


def _correlation(left: list[float]) -> float:
    squares = sum(each * each for each in left)
    return sum(one * other for one, other in itertools.pairwise(left)) / squares if squares else 0.0
