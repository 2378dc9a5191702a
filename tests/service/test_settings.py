"""Settings that fit no other are refused before anything starts."""

from pathlib import Path

import pytest

from service.drift import LEAST_IMAGES
from service.settings import ServeSettings


@pytest.mark.parametrize("num_images", [0, LEAST_IMAGES, 1000])
def test_windows_of_drift(num_images: int) -> None:
    """None, or one that can hold images enough for a PSI."""
    assert ServeSettings(models_dir=Path("models"), drift_window_images=num_images).drift_window_images == num_images


def test_a_window_of_drift_that_says_nothing() -> None:
    """One that would never hold enough is refused with what is allowed."""
    with pytest.raises(ValueError, match="--drift-window-images is 99; expected 0, or 100 or more"):
        ServeSettings(models_dir=Path("models"), drift_window_images=99)
