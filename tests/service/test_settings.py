"""Settings that fit no other are refused before anything starts."""

from pathlib import Path

import pytest

from cnnsvc.errors import SettingError
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


def test_a_body_as_large_as_allowed_must_find_room() -> None:
    """Fewer bytes for the whole queue than for one body are refused with both numbers; as many are enough."""
    with pytest.raises(ValueError, match="--queue-limit-bytes is 1999, less than the 2000 of --body-limit-bytes"):
        ServeSettings(Path("models"), body_limit_bytes=2000, queue_limit_bytes=1999)
    assert ServeSettings(Path("models"), body_limit_bytes=2000, queue_limit_bytes=2000)


def test_remote_and_its_upstream_belong_together() -> None:
    """Neither goes without the other, nor what says more of an upstream; a wrong address is refused with them."""
    with pytest.raises(ValueError, match="expected --engine remote and --upstream, or neither"):
        ServeSettings(Path("models"), engine="remote")
    with pytest.raises(ValueError, match="expected --engine remote and --upstream, or neither"):
        ServeSettings(Path("models"), upstream="grpc://fleet:8500")
    with pytest.raises(ValueError, match="need --engine remote"):
        ServeSettings(Path("models"), upstream_model="blumen")
    with pytest.raises(SettingError, match="is not HOST:PORT"):
        ServeSettings(Path("models"), engine="remote", upstream="grpc://fleet")
    remote = ServeSettings(Path("models"), engine="remote", upstream="grpc://fleet:8500", upstream_version=7).remote
    assert remote is not None
    assert (remote.target, remote.model, remote.version) == ("dns:///fleet:8500", "", 7)
