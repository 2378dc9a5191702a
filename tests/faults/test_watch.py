"""Memory and descriptors of a tree of processes, and whether memory is flat."""

import os
import socket

import pytest

from bench.faults.watch import growth_mib, sampled_mib, settled, usage


def test_descriptors_are_counted() -> None:
    """A socket is one, and gone once it is closed."""
    before = usage(os.getpid())
    assert before.mib > 1
    with socket.socket():
        assert usage(os.getpid()).num_descriptors == before.num_descriptors + 1
    assert settled(os.getpid()).num_descriptors == before.num_descriptors


def test_memory_is_sampled() -> None:
    """At least once, and of this process as usage has it."""
    with sampled_mib(os.getpid()) as samples:
        pass
    assert samples[0] == pytest.approx(usage(os.getpid()).mib, rel=0.2)


@pytest.mark.parametrize(
    ("samples", "growth"),
    [
        ([50, 100, 100, 100, 100, 100, 100, 100], 0),
        ([50, 100, 900, 100, 100, 900, 900, 100], 0),
        ([100, 110, 120, 130, 140, 150, 160, 170], 40),
        ([100], 0),
    ],
)
def test_growth_is_what_stays(samples: list[float], growth: float) -> None:
    """Neither warming up nor what comes and goes is growth."""
    assert growth_mib(samples) == growth
