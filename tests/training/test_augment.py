"""training/augment.py: what changes in training, how far, and that nothing else does."""

from typing import Any, Final

import numpy as np
import pytest

from cnnsvc.manifest import ImageShape
from tests.images import shape_image
from training.settings import Augmentation, TrainSettings

pytestmark = pytest.mark.slow


def _images(channels: int = 3) -> Any:
    """uint8 (4, 24, 24, C)."""
    return np.stack([shape_image("red", 24, seed)[:, :, :channels] for seed in range(4)])


_SIDE: Final = 64


def _augment(images_nhwc: Any, level: Augmentation, *, seed: int = 1, strength: float = 1.0) -> Any:
    from training.augment import augmentation_layers

    outputs = images_nhwc.astype(np.float32)
    for layer in augmentation_layers(level, seed=seed, strength=strength):
        outputs = layer(outputs, training=True)
    return np.asarray(outputs)


def _moves(level: Augmentation, *, strength: float = 1.0, num_images: int = 200) -> Any:
    """float64 (N, 2, 3): from a place (x, y, 1) of the output to its place in the input, both from the centre.

    Read from images whose pixels say where they are, about the centre, where nothing is reflected.
    """
    from training.augment import augmentation_layers

    y, x = np.mgrid[:_SIDE, :_SIDE]
    images = np.repeat(np.stack([x, y], axis=-1)[np.newaxis].astype(np.float32), num_images, axis=0)
    movement, *_ = augmentation_layers(level, seed=5, strength=strength)
    near = slice(_SIDE // 2 - 4, _SIDE // 2 + 4)
    middle = (_SIDE - 1) / 2
    found = np.asarray(movement(images, training=True))[:, near, near].reshape(num_images, -1, 2) - middle
    places = np.stack([x[near, near].ravel() - middle, y[near, near].ravel() - middle, np.ones(64)], axis=1)
    moves = [np.linalg.lstsq(places, one, rcond=None) for one in found]
    assert max(residual.max() for _, residual, *_ in moves) < 1e-6
    return np.stack([move.T for move, *_ in moves])


def _spread(values: Any) -> tuple[float, float]:
    return float(values.min()), float(values.max())


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


@pytest.mark.parametrize(("level", "strength"), [("light", 1.0), ("full", 1.0), ("full", 0.5)])
def test_moves_go_as_far_as_promised(level: Augmentation, strength: float) -> None:
    """Half of the images are flipped; rotation, zoom and shift fill their ranges, which strength multiplies."""
    moves = _moves(level, strength=strength)
    linear = moves[:, :, :2]
    flips = np.linalg.det(linear) < 0
    assert 0.35 < flips.mean() < 0.65
    scales = np.sqrt(np.abs(np.linalg.det(linear)))
    turns = np.arctan2(moves[:, 1, 0], moves[:, 1, 1]) / (2 * np.pi)
    np.testing.assert_allclose(
        linear[:, 1, :], np.stack([np.sin(a := 2 * np.pi * turns), np.cos(a)], 1) * scales[:, None], atol=1e-5
    )
    shifts = -np.linalg.solve(linear, moves[:, :, 2:])[:, :, 0] / _SIDE
    assert _spread(scales - 1) == pytest.approx((-0.15 * strength, 0.15 * strength), abs=0.01)
    assert _spread(turns) == pytest.approx((-0.05 * strength, 0.05 * strength), abs=0.004)
    reach = 0.1 * strength if level == "full" else 0
    for axis in range(2):
        assert _spread(shifts[:, axis]) == pytest.approx((-reach, reach), abs=0.01)


def test_pixels_beyond_the_edge_are_mirrored() -> None:
    """No blackness comes in from outside, however far an image is moved."""
    outputs = _augment(np.full((8, _SIDE, _SIDE, 3), 120, np.uint8), "light", strength=3.0)
    np.testing.assert_allclose(outputs, 120, atol=1e-3)


def test_colours_go_as_far_as_promised() -> None:
    """A pixel's distance from its channel's mean changes by up to a fifth, the mean by a fifth of 255, both ways."""
    from training.augment import augmentation_layers

    _, colour = augmentation_layers("full", seed=3)
    images = np.random.default_rng(1).uniform(100, 150, (200, 8, 8, 3)).astype(np.float32)
    outputs = np.asarray(colour(images, training=True))
    means = images.mean(axis=(1, 2), keepdims=True)
    brighter = (outputs.mean(axis=(1, 2), keepdims=True) - means)[:, :, :, :1]
    contrast = outputs[..., 0].std(axis=(1, 2)) / images[..., 0].std(axis=(1, 2))
    np.testing.assert_allclose(outputs, means + contrast[:, None, None, None] * (images - means) + brighter, atol=0.01)
    assert _spread(contrast) == pytest.approx((0.8, 1.2), abs=0.02)
    assert _spread(brighter) == pytest.approx((-51, 51), abs=2)


def test_each_step_draws_anew() -> None:
    """The same images are changed otherwise at the next step, and a layer of the same seed goes the same way."""
    from training.augment import augmentation_layers

    images = _images().astype(np.float32)
    for layer, twin in zip(*(augmentation_layers("full", seed=1) for _ in range(2)), strict=True):
        steps = [np.asarray(layer(images, training=True)) for _ in range(3)]
        assert len({step.tobytes() for step in steps}) == 3
        np.testing.assert_array_equal(steps, [np.asarray(twin(images, training=True)) for _ in range(3)])


def test_where_a_layer_stands_can_be_kept() -> None:
    """With the variables of the first, another layer goes on with the random numbers that come next."""
    from training.augment import augmentation_layers

    images = _images().astype(np.float32)
    for layer, later in zip(*(augmentation_layers("full", seed=seed) for seed in (1, 2)), strict=True):
        layer(images, training=True)
        later.build(images.shape)
        for kept, variable in zip(layer.non_trainable_variables, later.non_trainable_variables, strict=True):
            variable.assign(kept)
        np.testing.assert_array_equal(layer(images, training=True), later(images, training=True))


@pytest.mark.parametrize(("level", "strength"), [("none", 1.0), ("full", 0.0)])
def test_none_is_nothing(level: Augmentation, strength: float) -> None:
    """Without augmentation, or at strength 0, there is no layer that could flip anything."""
    from training.augment import augmentation_layers

    assert augmentation_layers(level, seed=1, strength=strength) == []


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
    trainee = augmented(network, image, TrainSettings(augment="full"))
    images = _images()
    np.testing.assert_allclose(trainee(images, training=False), network(images.astype(np.float32)), atol=1e-6)
    assert {id(weight) for weight in trainee.trainable_weights} == {id(weight) for weight in network.trainable_weights}
