"""A folder of images that never grows past its limit."""

import hashlib
import os
from pathlib import Path

import pytest

from service.image_store import ImageStore


def _digest(image: bytes) -> str:
    return hashlib.sha256(image).hexdigest()


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_images_are_kept_under_their_hash(tmp_path: Path) -> None:
    """Twice the same image is one file, for its owner alone."""
    folder = tmp_path / "images"
    store = ImageStore(folder, 1000)
    for image in (b"one", b"two", b"one"):
        store.keep(_digest(image), image)
    assert {path.read_bytes(): path.name for path in folder.iterdir()} == {
        b"one": _digest(b"one"),
        b"two": _digest(b"two"),
    }
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_the_oldest_make_room(tmp_path: Path) -> None:
    """What is in the folder never exceeds the limit, across a restart too; one image above it is not kept at all."""
    images = [bytes([number]) * 40 for number in range(6)]
    store = ImageStore(tmp_path, 100)
    for number, image in enumerate(images[:3]):
        store.keep(_digest(image), image)
        os.utime(tmp_path / _digest(image), (number, number))
    assert _names(tmp_path) == {_digest(images[1]), _digest(images[2])}
    store = ImageStore(tmp_path, 100)
    store.keep(_digest(images[3]), images[3])
    assert _names(tmp_path) == {_digest(images[2]), _digest(images[3])}
    store.keep(_digest(b"x" * 101), b"x" * 101)
    assert _names(tmp_path) == {_digest(images[2]), _digest(images[3])}


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    """Neither counted nor deleted."""
    (tmp_path / "notes").write_bytes(b"x" * 1000)
    store = ImageStore(tmp_path, 100)
    for number in range(5):
        store.keep(_digest(bytes([number])), bytes([number]) * 60)
    assert (tmp_path / "notes").exists()
    assert len(_names(tmp_path)) == 2


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """The image is lost with an OSError, and counts for nothing; the next one is kept."""
    folder = tmp_path / "images"
    store = ImageStore(folder, 10)
    folder.rmdir()
    with pytest.raises(OSError, match="No such file"):
        store.keep(_digest(b"one"), b"one")
    folder.mkdir()
    store.keep(_digest(b"one"), b"one")
    assert _names(folder) == {_digest(b"one")}
