"""Classes of unequal size made equal by copies: how many images an epoch then has, and which ones."""

import numpy as np
from numpy.typing import NDArray


def num_with_copies(labels: NDArray[np.int32]) -> int:
    """Images of an epoch in which each class has as many as the largest."""
    counts = np.unique(labels, return_counts=True)[1]
    return int(counts.max() * len(counts))


def rows_with_copies(labels: NDArray[np.int32], generator: np.random.Generator) -> NDArray[np.intp]:
    """Class by class, every row at least once; where it does not come out even, which ones come once more is drawn."""
    classes = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    largest = max(len(rows) for rows in classes)
    parts = []
    for rows in classes:
        parts += [np.tile(rows, largest // len(rows)), generator.choice(rows, largest % len(rows), replace=False)]
    return np.concatenate(parts)
