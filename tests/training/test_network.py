"""The Keras network: equal to the arithmetic of training/shapes.py, seeded, float32 at both ends."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from cnnsvc.errors import InvalidError
from cnnsvc.manifest import ImageShape
from training.architecture import Architecture
from training.catalogue import CATALOGUE
from training.notation import parse
from training.shapes import measure

pytestmark = pytest.mark.slow

_EVERY_SIGN = "C: 4k5v 4nv p3 3k2 d¼ 5k4n | 5 D: 6nRL2 d½ 7L2 8R 9n"


@pytest.fixture
def keras() -> Iterator[Any]:
    """Keras, loaded only where a test runs, with a clean session and the policy it had."""
    import keras

    policy = keras.config.dtype_policy()
    yield keras
    keras.config.set_dtype_policy(policy)
    keras.utils.clear_session()


def _build(architecture: Architecture | str, image: ImageShape, num_classes: int = 3, seed: int | None = 7) -> Any:
    from training.network import build_network

    if isinstance(architecture, str):
        architecture = parse(architecture)
    return build_network(architecture, image, num_classes, seed=seed)


@pytest.mark.parametrize(
    ("architecture", "image", "num_classes"),
    [
        (CATALOGUE["26"].architecture, ImageShape(180, 180, 3), 9),
        (CATALOGUE["28"].architecture, ImageShape(180, 180, 3), 9),
        # A smaller image than their own: the dense layers would have 20 and 82 million parameters.
        (CATALOGUE["listing"].architecture, ImageShape(32, 32, 3), 10),
        (CATALOGUE["figure"].architecture, ImageShape(24, 24, 3), 10),
        (parse(_EVERY_SIGN), ImageShape(40, 33, 1), 2),
        (parse("C: 2k1 p5 D:"), ImageShape(9, 21, 3), 4),
    ],
    ids=["26", "28", "listing", "figure", "every sign", "no dense layer"],
)
def test_shapes_equal_keras(keras: Any, architecture: Architecture, image: ImageShape, num_classes: int) -> None:
    """Every layer has in Keras the shape and the parameters that are computed without it."""
    network, shape = _build(architecture, image, num_classes), measure(architecture, image, num_classes)
    assert network.count_params() == shape.num_parameters
    for expected in shape.layers:
        layer = network.get_layer(expected.name)
        assert layer.output.shape == (None, *expected.output), expected.name
        num_trainable = sum(int(np.prod(weight.shape)) for weight in layer.trainable_weights)
        assert (num_trainable, layer.count_params()) == (expected.num_trainable, expected.num_parameters), expected.name
    unlisted = {layer.name for layer in network.layers} - {expected.name for expected in shape.layers}
    assert all(name in ("image", "rescaling", "flat_rescaling") or name.endswith("_relu") for name in unlisted)


def test_many_flattened_inputs_are_scaled_down(keras: Any) -> None:
    """Before the first dense layer more than 256 inputs are scaled by 256 over their number; fewer are left alone."""
    many = _build(CATALOGUE["26"].architecture, ImageShape(180, 180, 3)).get_layer("flat_rescaling")
    assert many.scale == 256 / 59_168
    assert many.output.shape == (None, 59_168)
    few = _build("C: 4 D: 5R", ImageShape(16, 16, 3))
    assert "flat_rescaling" not in [layer.name for layer in few.layers]


def test_layers_stand_in_order(keras: Any) -> None:
    """Batch norm stands between its layer and the ReLU, pooling before dropout, flatten between C and D."""
    network = _build("C: 4n d¼ D: 5n 6nR d½", ImageShape(8, 8, 3))
    assert [layer.name for layer in network.layers] == [
        "image",
        "rescaling",
        "convolution_1",
        "convolution_1_batch_norm",
        "convolution_1_relu",
        "pooling_1",
        "dropout_1",
        "flatten",
        "dense_1",
        "dense_1_batch_norm",
        "dense_2",
        "dense_2_batch_norm",
        "dense_2_relu",
        "dropout_2",
        "probabilities",
    ]


def test_same_seed_same_network(keras: Any) -> None:
    """The same seed gives the same weights and dropout masks, another seed others."""
    image = ImageShape(8, 8, 3)
    images_nhwc = np.random.default_rng(1).uniform(0, 255, (2, 8, 8, 3)).astype(np.float32)
    first, second, other = (_build("C: 4n 4 d½ D: 5R d¼", image, seed=seed) for seed in (7, 7, 8))
    for mine, same in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, same)
    np.testing.assert_array_equal(first(images_nhwc, training=True), second(images_nhwc, training=True))
    assert not np.array_equal(first.get_weights()[0], other.get_weights()[0])


def test_layers_share_no_seed(keras: Any) -> None:
    """Two layers of one shape begin with different weights."""
    network = _build("C: 3 3 D: 4 4 4", ImageShape(8, 8, 3), num_classes=4)
    for one, two in [("convolution_1", "convolution_2"), ("dense_2", "dense_3"), ("dense_3", "probabilities")]:
        assert not np.array_equal(network.get_layer(one).kernel, network.get_layer(two).kernel)


def test_without_a_seed_networks_differ(keras: Any) -> None:
    """No seed means other weights each time."""
    first, second = (_build("C: 3", ImageShape(8, 8, 3), seed=None) for _ in range(2))
    assert not np.array_equal(first.get_weights()[0], second.get_weights()[0])


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_pixels_in_probabilities_out(keras: Any, policy: str) -> None:
    """Raw pixels 0..255 come in and float32 probabilities that sum to 1 go out, under mixed precision too."""
    keras.config.set_dtype_policy(policy)
    network = _build(_EVERY_SIGN, ImageShape(40, 40, 3))
    assert (network.input.dtype, network.output.dtype) == ("float32", "float32")
    assert network.get_layer("convolution_1").compute_dtype == policy.removeprefix("mixed_")
    images_nhwc = np.random.default_rng(1).integers(0, 256, (2, 40, 40, 3)).astype(np.float32)
    scores_nk = np.asarray(network(images_nhwc))
    assert scores_nk.dtype == np.float32
    np.testing.assert_allclose(scores_nk.sum(axis=1), 1, atol=1e-6)


def test_rescaling_is_inside(keras: Any) -> None:
    """The network divides by 255 itself."""
    rescaling = _build("C: 3", ImageShape(8, 8, 3)).get_layer("rescaling")
    np.testing.assert_allclose(np.asarray(rescaling(np.array([0, 51, 255], np.float32))), [0.0, 0.2, 1.0], atol=1e-7)


def test_l2_adds_to_the_loss(keras: Any) -> None:
    """L2 on a dense layer costs 0.01 times the sum of its squared weights, and only there."""
    network = _build("C: 3 D: 4L2 5R", ImageShape(8, 8, 3))
    kernel = np.asarray(network.get_layer("dense_1").kernel)
    assert len(network.losses) == 1
    np.testing.assert_allclose(network.losses[0], 0.01 * np.square(kernel).sum(), rtol=1e-5)


def test_too_small_an_image_is_our_own_error(keras: Any) -> None:
    """Where nothing is left of the image, the error is the one of training/shapes.py, not Keras'."""
    with pytest.raises(InvalidError, match="pooling_2"):
        _build("C: 4 p3 8", ImageShape(5, 5, 3))
