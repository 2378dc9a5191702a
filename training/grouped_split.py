"""The split that keeps duplicates together: no image validates whose like the network was trained on."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cnnsvc.errors import DatasetError
from training.dataset import Listing, Split, num_validation, split_like_keras, subset
from training.settings import TrainSettings

_LARGEST_SHARE: Final = 0.5
"""Most of a class's images that one group takes to validation where its class would have none there."""


@dataclass(frozen=True)
class Grouped:
    """A listing, and which of its rows belong together."""

    listing: Listing
    groups: NDArray[np.int64]
    """int64 (N,): equal numbers are one group."""
    is_readable: NDArray[np.bool_]
    """bool (N,)"""


def split_images(grouped: Grouped, settings: TrainSettings) -> Split:
    """By the rule of the settings."""
    if settings.split == "keras":
        return split_like_keras(grouped.listing, settings.validation_split, settings.seed)
    return split_grouped(grouped, settings.validation_split, settings.seed)


def split_grouped(grouped: Grouped, validation_split: float, seed: int) -> Split:
    """Whole groups validate, and each class by its share as well as its groups allow; the same for the same seed.

    Unreadable files go where they do no harm, to training. Raises DatasetError where nothing would validate.
    """
    listing, is_readable = grouped.listing, grouped.is_readable
    if not is_readable.any():  # the cache tells which and why
        is_readable = np.ones_like(is_readable)
    order = np.random.default_rng(seed).permutation(len(listing.files))
    members: defaultdict[int, list[int]] = defaultdict(list)
    for row in order[is_readable[order]].tolist():
        members[int(grouped.groups[row])].append(row)
    counts = {group: Counter(listing.labels[rows].tolist()) for group, rows in members.items()}
    sizes = np.bincount(listing.labels[is_readable], minlength=len(listing.class_names))
    quotas = _quotas(sizes, num_validation(listing, int(is_readable.sum()), validation_split))
    chosen = _choose(counts, quotas, sizes)
    if not chosen:
        raise DatasetError(
            f"the images of {listing.folder} are so much alike that none can validate without its like in training:"
            f" {int(is_readable.sum())} images in {len(members)} groups of duplicates; expected more that differ, or"
            " --split keras, which divides duplicates"
        )
    is_validating = np.zeros(len(listing.files), bool)
    is_validating[[row for group in chosen for row in members[group]]] = True
    return Split(subset(listing, order[~is_validating[order]]), subset(listing, order[is_validating[order]]))


def _quotas(sizes: NDArray[np.int64], total: int) -> list[int]:
    """`total` shared out by largest remainder; each class keeps an image to train on."""
    exact = sizes * (total / sizes.sum())
    quotas = np.floor(exact).astype(int)
    for label in np.argsort(quotas - exact, kind="stable")[: total - int(quotas.sum())].tolist():
        quotas[label] += 1
    kept: list[int] = np.minimum(quotas, (sizes - 1).clip(0)).tolist()
    return kept


def _choose(counts: dict[int, Counter[int]], quotas: list[int], sizes: NDArray[np.int64]) -> set[int]:
    """Groups in their random order as long as they fit; then the smallest of each class that has none yet."""
    left = dict(enumerate(quotas))
    chosen = set()
    for group, wanted in counts.items():
        if all(left[label] >= count for label, count in wanted.items()):
            chosen.add(group)
            left = _less(left, wanted)
    for label, quota in enumerate(quotas):
        if left[label] < quota or not quota:
            continue
        small = [
            group
            for group, wanted in counts.items()
            if wanted[label] and all(_fits(quotas[k] - left[k] + n, sizes[k]) for k, n in wanted.items())
        ]
        if small:
            group = min(small, key=lambda group: counts[group].total())
            chosen.add(group)
            left = _less(left, counts[group])
    return chosen


def _fits(num_validating: int, size: int) -> bool:
    return num_validating <= size * _LARGEST_SHARE


def _less(left: dict[int, int], wanted: Counter[int]) -> dict[int, int]:
    for label, count in wanted.items():
        left[label] -= count
    return left
