"""Files are read again when they change."""

import logging
import os
from pathlib import Path

import pytest

from cnnsvc.errors import SettingError
from service.reloaded import Reloaded


def _read(path: Path) -> str:
    text = path.read_text()
    if "bad" in text:
        raise SettingError(f"{path.name} is bad")
    return text


def _write(path: Path, text: str) -> None:
    """With a time of its own, however coarse the clock of the file system is."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    os.utime(path, ns=(before + 1_000, before + 1_000))


def test_a_change_is_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Once it is there, and told once; without one nothing is read."""
    path = tmp_path / "file"
    _write(path, "one")
    num_reads = 0

    def read() -> str:
        nonlocal num_reads
        num_reads += 1
        return _read(path)

    file = Reloaded("keys", [path], read)
    file.refresh()
    assert (file.current, num_reads) == ("one", 1)
    _write(path, "two")
    with caplog.at_level(logging.INFO):
        file.refresh()
        file.refresh()
    assert (file.current, num_reads) == ("two", 2)
    assert caplog.messages == ["the file of keys changed and is used from now on"]


@pytest.mark.parametrize("how", ["bad", "absent"])
def test_what_cannot_be_used_is_not(tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture) -> None:
    """What was read before holds, the reason is logged once, and a mended file is used again."""
    path = tmp_path / "file"
    _write(path, "one")
    file = Reloaded("keys", [path], lambda: _read(path))
    if how == "bad":
        _write(path, "bad")
    else:
        path.unlink()
    file.refresh()
    file.refresh()
    assert (file.current, file.is_refused) == ("one", True)
    assert len([line for line in caplog.messages if "cannot be used" in line]) == 1
    _write(path, "two and more")
    file.refresh()
    assert (file.current, file.is_refused) == ("two and more", False)


def test_a_link_that_turns(tmp_path: Path) -> None:
    """Secrets that an orchestrator mounts change by a link of a folder above them."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    (tmp_path / "now").symlink_to("one")
    path = tmp_path / "now" / "file"
    file = Reloaded("keys", [path], path.read_text)
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").rename(tmp_path / "now")
    file.refresh()
    assert file.current == "two"


def test_at_first_it_must_be_usable(tmp_path: Path) -> None:
    """Then there is nothing else to go by."""
    with pytest.raises(FileNotFoundError):
        Reloaded("keys", [tmp_path / "file"], lambda: _read(tmp_path / "file"))


def test_what_kept_it_from_being_read_may_go(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is tried again until it works, without a change of the file, and told once."""
    path, is_full = tmp_path / "file", False

    def read() -> str:
        if is_full:
            raise RuntimeError("no file can be opened")
        return path.read_text()

    _write(path, "one")
    file = Reloaded("keys", [path], read)
    is_full = True
    _write(path, "two")
    for _ in range(3):
        file.refresh()
    assert (file.current, file.is_refused) == ("one", True)
    assert len([line for line in caplog.messages if "cannot be used" in line]) == 1
    is_full = False
    file.refresh()
    assert (file.current, file.is_refused) == ("two", False)
