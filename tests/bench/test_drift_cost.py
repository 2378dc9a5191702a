"""Drift costs next to nothing beside an image of the real network, which takes about 2 ms of CPU."""

from bench.drift_cost import cost


def test_an_image_costs_next_to_nothing() -> None:
    """Measuring and counting an image of 180x180 takes some 17 µs of CPU; 60 leaves room for a slow machine.

    numpy's mean of the pixels alone would take 490.
    """
    measure, count, _ = cost(180, 3, 1000, rounds=5)
    assert measure + count < 60e-6


def test_a_larger_window_costs_no_more() -> None:
    """Counting an image takes as long in a window a hundred times as large, but for the caches of the processor."""
    small, large = (cost(8, 3, num_images, rounds=5)[1] for num_images in (500, 50_000))
    assert large < 5 * small
