"""training/augment.py: what changes in training, and that nothing else does."""

from typing import Any

import numpy as np
import pytest

from cnnsvc.manifest import ImageShape
from tests.images import shape_image
from training.settings import Augmentation

pytestmark = pytest.mark.slow


def _images(channels: int = 3) -> Any:
    """uint8 (4, 24, 24, C)."""
    return np.stack([shape_image("red", 24, seed)[:, :, :channels] for seed in range(4)])


def _augment(images_nhwc: Any, level: Augmentation, *, seed: int = 1) -> Any:
    from training.augment import augmentation_layers

    outputs = images_nhwc.astype(np.float32)
    for layer in augmentation_layers(level, seed=seed):
        outputs = layer(outputs, training=True)
    return np.asarray(outputs)


@pytest.mark.parametrize("channels", [1, 3])
def test_full_changes_images_and_stays_in_range(channels: int) -> None:
    """Every image is changed in a way of its own and stays float32 of 0..255, grey ones included."""
    images = np.repeat(_images(channels)[:1], 4, axis=0)
    outputs = _augment(images, "full")
    assert outputs.shape == images.shape
    assert outputs.dtype == np.float32
    assert outputs.min() >= 0
    assert outputs.max() <= 255
    assert len({output.tobytes() for output in outputs}) == 4


def test_light_only_moves_pixels() -> None:
    """Flip, rotation and zoom leave a plain image as it is."""
    plain = np.full((2, 16, 16, 3), 120, np.uint8)
    np.testing.assert_allclose(_augment(plain, "light"), 120, atol=1e-3)
    assert np.abs(_augment(_images(), "light") - _images()).max() > 10


def test_contrast_goes_both_ways() -> None:
    """Some images gain contrast and some lose it."""
    from training.augment import augmentation_layers

    contrast = next(layer for layer in augmentation_layers("full", seed=3) if "contrast" in layer.name)
    images = np.repeat(_images()[:1], 32, axis=0).astype(np.float32)
    spreads = np.asarray(contrast(images, training=True)).std(axis=(1, 2, 3))
    assert spreads.min() < images[0].std() < spreads.max()


def test_the_seed_decides() -> None:
    """The same seed gives the same changes, another seed others."""
    first = _augment(_images(), "full", seed=1)
    np.testing.assert_array_equal(first, _augment(_images(), "full", seed=1))
    assert np.abs(first - _augment(_images(), "full", seed=2)).max() > 1


def test_nothing_changes_outside_training() -> None:
    """The training model predicts what its network predicts, from uint8, with the network's own weights."""
    from training.augment import augmented
    from training.network import build_network
    from training.notation import parse

    image = ImageShape(24, 24, 3)
    network = build_network(parse("C: 4n D: 8R"), image, 3, seed=1)
    trainee = augmented(network, image, "full", seed=1)
    images = _images()
    np.testing.assert_allclose(trainee(images, training=False), network(images.astype(np.float32)), atol=1e-6)
    assert {id(weight) for weight in trainee.trainable_weights} == {id(weight) for weight in network.trainable_weights}
