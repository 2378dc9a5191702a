"""training/strangers.py: made-up images of no class."""

import numpy as np
import pytest

from training.strangers import MOST_STRANGERS, strangers

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 13, 18, 3), dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_they_have_the_shape_of_the_images(channels: int) -> None:
    """Of each kind there are as many as images, never more than 64, and the same seed makes the same ones."""
    found = strangers(IMAGES[..., :channels], seed=3)
    assert len(found) == 3
    for kind, images in found.items():
        assert images.dtype == np.uint8
        assert images.shape == (5, 13, 18, channels)
        np.testing.assert_array_equal(images, strangers(IMAGES[..., :channels], seed=3)[kind])
    many = np.zeros((MOST_STRANGERS + 10, 4, 4, 3), np.uint8)
    assert {len(images) for images in strangers(many, seed=3).values()} == {MOST_STRANGERS}


def test_what_they_are() -> None:
    """Noise varies everywhere, flat ones nowhere, shuffled ones hold the pixels of their images in another order."""
    noise, flat, shuffled = strangers(IMAGES, seed=3).values()
    assert noise.std() > 60
    assert np.ptp(flat, axis=(1, 2)).max() == 0
    assert len(np.unique(flat[:, 0, 0], axis=0)) == 5
    for image, original in zip(shuffled, IMAGES, strict=True):  # five of five rows are taken, in their order
        assert (image != original).any()
        np.testing.assert_array_equal(np.sort(image, axis=None), np.sort(original, axis=None))
        np.testing.assert_array_equal(image[12:], original[12:])


def test_images_smaller_than_their_blocks() -> None:
    """Nothing can be shuffled of an image of three pixels, and nothing fails."""
    tiny = np.zeros((1, 3, 3, 1), np.uint8)
    assert strangers(tiny, seed=0)["noise"].shape == tiny.shape
