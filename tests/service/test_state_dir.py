"""The folder that workers share: whose it is, and what stays in it."""

from pathlib import Path

import pytest

from cnnsvc.errors import SettingError
from service import state_dir


def test_a_folder_of_ones_own_stays_without_the_counts(tmp_path: Path) -> None:
    """What an earlier run counted is gone at the start, this run's counts at the end; other files are let alone."""
    path = tmp_path / "deep" / "state"
    state_dir.metrics_dir(path).mkdir(parents=True)
    (state_dir.metrics_dir(path) / "counter_0.db").touch()
    (path / "other").touch()
    with state_dir.opened(path) as found:
        assert found == path
        assert list(state_dir.metrics_dir(path).iterdir()) == []
    assert not state_dir.metrics_dir(path).exists()
    assert (path / "other").exists()


def test_without_a_folder_a_temporary_one_is_used() -> None:
    """It is only this user's, and gone at the end."""
    with state_dir.opened(None) as path:
        assert state_dir.metrics_dir(path).is_dir()
        assert path.stat().st_mode & 0o077 == 0
    assert not path.exists()


def test_two_services_do_not_share_a_folder(tmp_path: Path) -> None:
    """The second is refused with the folder's name; the first one's files are untouched, and free at its end."""
    with (
        state_dir.opened(tmp_path),
        pytest.raises(SettingError, match=f"{tmp_path} is used by another service"),
        state_dir.opened(tmp_path),
    ):
        raise AssertionError("opened twice")
    with state_dir.opened(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    """It is named with what is wrong."""
    (tmp_path / "file").touch()
    with pytest.raises(SettingError, match=r"--state-dir .*/file cannot be used"), state_dir.opened(tmp_path / "file"):
        raise AssertionError("opened a file")
