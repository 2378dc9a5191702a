"""Into which bin an image falls: every value has one, and an image's means are those of its pixels."""

import numpy as np
import pytest

from cnnsvc.bins import channel_mean_bin, channel_means, confidence_bin
from cnnsvc.pixels import Pixels
from tests.encoded import scene


@pytest.mark.parametrize(
    ("score", "place"),
    [(0.0, 0), (0.0999, 0), (0.1, 1), (0.35, 3), (0.999, 9), (1.0, 9), (1.0001, 9), (-0.1, 0), (float("nan"), 0)],
)
def test_confidence_bin(score: float, place: int) -> None:
    """Ten equal bins over 0..1; a score that no softmax gives has a bin too, so that no answer fails for it."""
    assert confidence_bin(score, 10) == place


@pytest.mark.parametrize(("mean", "place"), [(0, 0), (15.99, 0), (16, 1), (127.5, 7), (254.9, 15), (255, 15)])
def test_channel_mean_bin(mean: float, place: int) -> None:
    """Sixteen bins of sixteen values."""
    assert channel_mean_bin(mean, 16) == place


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("image", [scene(), scene(700, 40), np.full((514, 2, 3), 255, np.uint8)])
def test_channel_means(image: Pixels, channels: int) -> None:
    """Of each channel the mean of all of its pixels, one number a channel, in the order of the channels."""
    image_hwc = np.ascontiguousarray(image[:, :, :channels])
    means = channel_means(image_hwc)
    assert means == pytest.approx(image_hwc.mean(axis=(0, 1)).tolist())
    assert len(means) == channels
