"""training/grouped_split.py: duplicates stay together, classes keep their shares."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cnnsvc.errors import DatasetError
from training.dataset import Listing, Split, without
from training.grouped_split import Grouped, split_grouped

NAMES = ["a", "b", "c"]


def grouped(labels: list[int], groups: list[int] | None = None, unreadable: tuple[int, ...] = ()) -> Grouped:
    """Rows in the order of their labels, each its own group where none are given."""
    folder = Path("data")
    files = [folder / NAMES[label] / f"{row}.png" for row, label in enumerate(labels)]
    listing = Listing(folder, NAMES[: max(labels) + 1], files, np.asarray(labels, np.int32), {})
    is_readable = np.ones(len(labels), bool)
    is_readable[list(unreadable)] = False
    return Grouped(listing, np.asarray(groups or range(len(labels)), np.int64), is_readable)


def rows(split: Split) -> tuple[set[int], set[int]]:
    training, validation = ({int(file.stem) for file in part.files} for part in (split.training, split.validation))
    return training, validation


def per_class(labels: NDArray[np.int32]) -> list[int]:
    counts: list[int] = np.bincount(labels, minlength=3).tolist()
    return counts


@pytest.mark.parametrize("seed", range(20))
def test_no_group_is_divided_and_classes_keep_their_shares(seed: int) -> None:
    """Over random groups, some across classes, each image is once in a subset and each class has its quarter."""
    random = np.random.default_rng(seed)
    labels = sorted(random.choice(3, 400, p=[0.6, 0.3, 0.1]).tolist())
    groups = list(range(400))
    for _ in range(60):
        one, other = random.integers(0, 400, 2).tolist()
        groups = [groups[one] if group == groups[other] else group for group in groups]
    split = split_grouped(grouped(labels, groups), 0.25, seed)
    training, validation = rows(split)
    assert training | validation == set(range(400))
    assert not training & validation
    assert not {groups[row] for row in training} & {groups[row] for row in validation}
    quarter = np.bincount(labels) / 4
    assert np.abs(np.asarray(per_class(split.validation.labels)) - quarter).max() <= 1
    assert [NAMES[label] for label in split.validation.labels] == [file.parent.name for file in split.validation.files]


def test_the_seed_decides() -> None:
    """The same seed gives the same order, another one other images; the order mixes the classes."""
    data = grouped([0] * 40 + [1] * 40)
    first, again, other = (split_grouped(data, 0.25, seed) for seed in (5, 5, 6))
    assert first.training.files == again.training.files
    assert first.validation.files == again.validation.files
    assert rows(first)[1] != rows(other)[1]
    assert 0 < first.training.labels[:30].sum() < 30


def test_large_groups_do_not_always_train() -> None:
    """Whether a group validates is chance, so that validation holds such images as there are."""
    groups = [0] * 5 + list(range(5, 40)) + list(range(40, 80))
    data = grouped([0] * 40 + [1] * 40, groups)
    found = [0 in rows(split_grouped(data, 0.25, seed))[1] for seed in range(40)]
    assert 2 <= sum(found) <= 25


def test_unreadable_files_count_in_no_share() -> None:
    """They are put to training, from which they drop out, and the shares are those of the readable ones."""
    split = split_grouped(grouped([0] * 20 + [1] * 20, unreadable=tuple(range(12))), 0.25, 1)
    assert per_class(split.validation.labels) == [2, 5, 0]
    assert set(range(12)) <= rows(split)[0]


def test_groups_too_large_for_the_share_validate_all_the_same() -> None:
    """Three groups of ten a class leave no quarter; one of the three is better than none."""
    groups = [row // 10 for row in range(60)]
    split = split_grouped(grouped([0] * 30 + [1] * 30, groups), 0.25, 1)
    assert per_class(split.validation.labels) == [10, 10, 0]


def test_images_that_are_all_alike_cannot_be_divided() -> None:
    """One group a class is refused with the flag that divides it."""
    with pytest.raises(DatasetError, match=r"20 images in 2 groups of duplicates; .*--split keras"):
        split_grouped(grouped([0] * 10 + [1] * 10, [0] * 10 + [1] * 10), 0.25, 1)


def test_every_class_keeps_an_image_to_train_on() -> None:
    """Also where nearly all images validate."""
    split = split_grouped(grouped([0] * 2 + [1] * 20), 0.9, 1)
    assert min(per_class(split.training.labels)[:2]) >= 1


def test_too_small_a_share_is_refused() -> None:
    """As for the other split, with the share that would do."""
    with pytest.raises(DatasetError, match=r"leaves none of the 8 images of data .*at least 0\.125"):
        split_grouped(grouped([0] * 4 + [1] * 4), 0.01, 1)


def test_leaving_images_out() -> None:
    """The others keep their order; a class that would lose too many is named."""
    listing = grouped([0] * 3 + [1] * 3).listing
    assert [file.stem for file in without(listing, [1, 5]).files] == ["0", "2", "3", "4"]
    with pytest.raises(DatasetError, match="class 'b' has 1 images left without the 2 that are left out"):
        without(listing, [3, 4])
