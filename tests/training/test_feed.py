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


def test_images_alone_come_in_order() -> None:
    """Predictions see every image, in order, as float32; the last batch is filled, so no device is left without."""
    from training.feed import ImageFeed

    feed = ImageFeed(_labelled(5).images_nhwc, 2)
    batches = [feed[index][0] for index in range(len(feed))]
    assert [len(batch) for batch in batches] == [2, 2, 2]
    assert np.concatenate(batches)[:5, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert batches[0].dtype == np.float32
