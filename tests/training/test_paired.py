"""The paired test and interval: published figures, exactness, and how often equal networks are called different."""

import math
from fractions import Fraction

import numpy as np
import pytest

from training.paired import Pairs, difference_interval, mcnemar_p, pairs_of, verdict


@pytest.mark.parametrize(
    ("only_a", "only_b", "p"),
    [
        (1, 7, 0.0703),  # Fagerland, Lydersen and Laake, BMC Medical Research Methodology 13, 2013: airways
        (12, 2, 0.0129),  # Armitage and Berry, Statistical Methods in Medical Research, 1994: two culture media
    ],
)
def test_published_p_values(only_a: int, only_b: int, p: float) -> None:
    """The exact test gives what textbooks print, whichever network is called A."""
    assert mcnemar_p(only_a, only_b) == pytest.approx(p, abs=5e-5)
    assert mcnemar_p(only_b, only_a) == mcnemar_p(only_a, only_b)


@pytest.mark.parametrize("num_tosses", [1, 2, 9, 50, 301])
def test_the_test_is_exact(num_tosses: int) -> None:
    """Every p equals the sum of binomial probabilities in whole numbers."""
    for fewer in range(num_tosses // 2 + 1):
        tail = sum(math.comb(num_tosses, heads) for heads in range(fewer + 1))
        expected = min(Fraction(1), Fraction(2 * tail, 2**num_tosses))
        assert mcnemar_p(fewer, num_tosses - fewer) == pytest.approx(float(expected), rel=1e-9)


def test_many_images() -> None:
    """Numbers beyond any factorial that floats hold are no trouble, and a certain difference has a p of 0."""
    # Two standard deviations of a million tosses: the normal distribution says 0.0455.
    assert mcnemar_p(499_000, 501_000) == pytest.approx(0.0455, abs=2e-4)
    assert mcnemar_p(0, 1_000_000) == 0
    assert mcnemar_p(500_000, 500_000) == mcnemar_p(0, 0) == 1


@pytest.mark.parametrize("num_tosses", [1, 5, 6, 20, 100, 500])
def test_equal_networks_are_rarely_called_different(num_tosses: int) -> None:
    """Over all that so many tosses of a fair coin may give, at most 5 % are called a difference."""
    outcomes = [(mcnemar_p(heads, num_tosses - heads), math.comb(num_tosses, heads)) for heads in range(num_tosses + 1)]
    assert Fraction(sum(weight for p, weight in outcomes if p < 0.05), 2**num_tosses) <= Fraction(5, 100)


def test_equal_networks_in_a_simulation() -> None:
    """Of 4,000 pairs of equally good, correlated networks on 200 images at most 5 % are called different; their
    interval misses 0 about as often as it says."""
    random = np.random.default_rng(1)
    tables = [Pairs(*row) for row in random.multinomial(200, [0.5, 0.12, 0.12, 0.26], 4000).tolist()]
    assert np.mean([mcnemar_p(one.only_a, one.only_b) < 0.05 for one in tables]) <= 0.05
    intervals = [difference_interval(one) for one in tables]
    assert 0.93 <= np.mean([low <= 0 <= high for low, high in intervals]) <= 0.975


def test_a_better_network_is_found() -> None:
    """Of 200 images a network that is 15 points better is told nearly always, and by its name."""
    random = np.random.default_rng(2)
    tables = [Pairs(*row) for row in random.multinomial(200, [0.5, 0.05, 0.2, 0.25], 500).tolist()]
    assert np.mean([verdict(one).startswith("B is better") for one in tables]) > 0.95


@pytest.mark.parametrize(
    ("pairs", "interval"),
    [
        (Pairs(1, 7, 1, 12), (-0.507, -0.026)),  # Fagerland, Lydersen and Laake, Statistics in Medicine 33, 2014
        (Pairs(36, 2, 12, 0), (0.0569, 0.3404)),  # Newcombe 1998
    ],
)
def test_published_intervals(pairs: Pairs, interval: tuple[float, float]) -> None:
    """Newcombe's method 10 gives the printed limits; the other way round they change sign."""
    assert difference_interval(pairs) == pytest.approx(interval, abs=5e-4)
    swapped = Pairs(pairs.both_right, pairs.only_b, pairs.only_a, pairs.both_wrong)
    assert difference_interval(swapped) == pytest.approx((-interval[1], -interval[0]), abs=5e-4)


@pytest.mark.parametrize("pairs", [Pairs(9, 0, 0, 0), Pairs(0, 0, 0, 1), Pairs(0, 3, 0, 0), Pairs(5, 0, 0, 4)])
def test_intervals_at_the_edges(pairs: Pairs) -> None:
    """Networks that are always right, always wrong or always the same have an interval that holds the difference."""
    low, high = difference_interval(pairs)
    assert -1 <= low <= pairs.difference <= high <= 1
    assert low < high


def test_verdicts() -> None:
    """They name the better one with its p, or say how many images showed nothing."""
    assert verdict(Pairs(100, 2, 20, 10)) == "B is better: p = 0.0001"
    assert verdict(Pairs(100, 40, 2, 10)) == "A is better: p < 0.0001"
    assert verdict(Pairs(1000, 6, 10, 184)) == "no difference that 1,200 images could show (p = 0.4545)"


def test_pairs() -> None:
    """Each image counts once."""
    found = pairs_of(np.array([True, True, False, False, True]), np.array([True, False, True, False, True]))
    assert found == Pairs(both_right=2, only_a=1, only_b=1, both_wrong=1)
    assert found.num_images == 5
