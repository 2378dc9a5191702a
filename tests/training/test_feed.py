"""training/feed.py: batches and their order."""

from pathlib import Path

import numpy as np
import pytest

from training.trained import Labelled

pytestmark = pytest.mark.slow


def _labelled(num_images: int) -> Labelled:
    """Image n is filled with n and has label n."""
    images = np.repeat(np.arange(num_images, dtype=np.uint8), 2 * 2 * 3).reshape(num_images, 2, 2, 3)
    return Labelled([Path(str(n)) for n in range(num_images)], images, np.arange(num_images, dtype=np.int32), [])


def _labels(num_images: int, batch_size: int, *, seed: int, epoch: int, fills_last_batch: bool = False) -> list[int]:
    from training.feed import Feed

    feed = Feed(_labelled(num_images), batch_size, seed=seed, fills_last_batch=fills_last_batch)
    feed.start_epoch(epoch)
    batches = [feed[index] for index in range(len(feed))]
    for images, labels in batches:
        assert images.dtype == np.uint8
        assert labels.dtype == np.int32
        assert images[:, 0, 0, 0].tolist() == labels.tolist()
    return [int(label) for _, labels in batches for label in labels]


def test_an_epoch_holds_every_image_once() -> None:
    """The last, partial batch is kept, and each image travels with its label."""
    labels = _labels(10, 4, seed=1, epoch=1)
    assert sorted(labels) == list(range(10))


def test_the_order_follows_seed_and_epoch_alone() -> None:
    """Another epoch or another seed is another order; the same two give the same one."""
    order = _labels(30, 4, seed=1, epoch=1)
    assert order == _labels(30, 4, seed=1, epoch=1)
    assert order != _labels(30, 4, seed=1, epoch=2)
    assert order != _labels(30, 4, seed=2, epoch=1)


def test_a_filled_last_batch_repeats_the_beginning() -> None:
    """For several devices every batch is full, and still every image is there."""
    labels = _labels(10, 4, seed=1, epoch=1, fills_last_batch=True)
    assert len(labels) == 12
    assert labels[10:] == labels[:2]
    assert sorted(labels[:10]) == list(range(10))


def test_copies_make_classes_equal() -> None:
    """Each class has as many images as the largest; which ones and in what order follows seed and epoch alone."""
    from training.feed import Feed

    labels = np.repeat(np.arange(3, dtype=np.int32), [7, 3, 1])
    images = np.arange(11, dtype=np.uint8).reshape(11, 1, 1, 1)
    feed = Feed(Labelled([Path(str(n)) for n in range(11)], images, labels, []), 4, seed=1, copies=True)
    assert (feed.num_images, len(feed)) == (21, 6)

    def shown(epoch: int) -> list[int]:
        feed.start_epoch(epoch)
        batches = [feed[index] for index in range(len(feed))]
        rows = np.concatenate([images_nhwc.ravel() for images_nhwc, _ in batches])
        np.testing.assert_array_equal(labels[rows], np.concatenate([labels for _, labels in batches]))
        assert set(rows.tolist()) == set(range(11))
        assert np.bincount(labels[rows]).tolist() == [7, 7, 7]
        return [int(row) for row in rows]

    first, second = shown(1), shown(2)
    assert shown(1) == first != second
    assert sorted(first) != first


def test_copies_fill_the_last_batch_too() -> None:
    """For several devices the last batch is full with copies as without."""
    from training.feed import Feed

    labels = np.asarray([0, 0, 0, 1], np.int32)
    images = np.zeros((4, 1, 1, 1), np.uint8)
    feed = Feed(Labelled([Path()] * 4, images, labels, []), 4, seed=1, fills_last_batch=True, copies=True)
    assert [len(feed[index][1]) for index in range(len(feed))] == [4, 4]


def test_images_alone_come_in_order() -> None:
    """Predictions see every image, in order, as float32; the last batch is filled, so no device is left without."""
    from training.feed import ImageFeed

    feed = ImageFeed(_labelled(5).images_nhwc, 2)
    batches = [feed[index][0] for index in range(len(feed))]
    assert [len(batch) for batch in batches] == [2, 2, 2]
    assert np.concatenate(batches)[:5, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert batches[0].dtype == np.float32
