"""training/balance.py: copies that make classes equal."""

import numpy as np
import pytest

from training.balance import num_with_copies, rows_with_copies


@pytest.mark.parametrize("sizes", [[7, 3, 1], [4, 4], [1, 9, 2, 2]])
def test_each_class_becomes_as_large_as_the_largest(sizes: list[int]) -> None:
    """Every image is there, and within a class none comes more than once more often than another."""
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes), dtype=np.int32), sizes))
    rows = rows_with_copies(labels, np.random.default_rng(1))
    assert len(rows) == num_with_copies(labels) == max(sizes) * len(sizes)
    assert np.bincount(labels[rows]).tolist() == [max(sizes)] * len(sizes)
    times = np.bincount(rows)
    for label, size in enumerate(sizes):
        assert {max(sizes) // size, -(-max(sizes) // size)} >= set(times[labels == label].tolist())


def test_which_images_come_once_more_is_drawn() -> None:
    """Each image of a small class has its turn over some epochs."""
    labels = np.asarray([0] * 7 + [1] * 3, np.int32)
    draws = [np.bincount(rows_with_copies(labels, np.random.default_rng(epoch)))[7:] for epoch in range(20)]
    assert {int(times.argmax()) for times in draws} == {0, 1, 2}
