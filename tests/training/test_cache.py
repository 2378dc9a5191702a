"""training/cache.py: decoding once, skipping what cannot be read."""

import hashlib
import io
import os
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from cnnsvc import pixels
from cnnsvc.errors import DatasetError
from cnnsvc.manifest import ImageShape
from tests.images import write_image_folder
from training.cache import Cache, fill_cache
from training.dataset import scan, split_like_keras
from training.originals import LIMIT_FILE_BYTES
from training.progress import Reporter

IMAGE = ImageShape(16, 20, 3)


def _fill(folder: Path, *, limit_mib: int = 64, image: ImageShape = IMAGE) -> Cache:
    listing = scan(folder)
    reporter = Reporter(Console(file=io.StringIO()))
    return fill_cache(listing, split_like_keras(listing, 0.25, 100), image, limit_mib=limit_mib, reporter=reporter)


@pytest.mark.parametrize("image", [IMAGE, ImageShape(8, 8, 1)])
@pytest.mark.parametrize("limit_mib", [64, 0])
def test_rows_are_the_pixels_that_serving_decodes(tmp_path: Path, limit_mib: int, image: ImageShape) -> None:
    """Every row equals pixels.decode of its file, in memory and in the mapped file alike."""
    write_image_folder(tmp_path / "data", 2, 6)
    cache = _fill(tmp_path / "data", limit_mib=limit_mib, image=image)
    for labelled in (cache.training, cache.validation):
        assert len(labelled.files) == len(labelled.images_nhwc) == len(labelled.labels)
        for file, row in zip(labelled.files, labelled.images_nhwc, strict=True):
            expected = pixels.decode(file.read_bytes(), image.height, image.width, image.channels)
            np.testing.assert_array_equal(row, expected)
    assert isinstance(cache.training.images_nhwc, np.memmap) == (limit_mib == 0)


def test_the_mapped_cache_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The temporary file has no name even while it is in use, so a killed run leaves nothing."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    write_image_folder(tmp_path / "data", 2, 4)
    cache = _fill(tmp_path / "data", limit_mib=0)
    assert [entry.name for entry in tmp_path.iterdir()] == ["data"]
    assert cache.training.images_nhwc.any()


def test_unreadable_files_are_skipped_and_listed_with_a_reason(tmp_path: Path) -> None:
    """Garbage, nothing, a dead link, a pipe and far too many bytes cost a row each; the others keep their order."""
    write_image_folder(tmp_path / "data", 2, 8)
    (tmp_path / "data/red/000.png").write_bytes(b"no image")
    (tmp_path / "data/red/001.png").write_bytes(b"")
    (tmp_path / "data/blue/a.png").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "data/blue/pipe.png")
    with (tmp_path / "data/blue/huge.png").open("wb") as huge:
        huge.truncate(LIMIT_FILE_BYTES + 1)
    cache = _fill(tmp_path / "data")
    reasons = {unreadable.file.name: unreadable.reason for unreadable in cache.unreadable}
    assert sorted(reasons) == ["000.png", "001.png", "a.png", "huge.png", "pipe.png"]
    assert "not an image" in reasons["000.png"]
    assert reasons["001.png"] == "the image is empty (0 bytes)"
    assert reasons["a.png"] == "a link to nothing"
    assert reasons["huge.png"] == f"the file has {LIMIT_FILE_BYTES + 1} bytes; allowed are {LIMIT_FILE_BYTES}"
    assert reasons["pipe.png"] == "not a regular file"
    split = split_like_keras(scan(tmp_path / "data"), 0.25, 100)
    for labelled, subset in ((cache.training, split.training), (cache.validation, split.validation)):
        assert labelled.sha256s == [hashlib.sha256(file.read_bytes()).hexdigest() for file in labelled.files]
        assert labelled.files == [file for file in subset.files if file not in {u.file for u in cache.unreadable}]
        for file, row in zip(labelled.files, labelled.images_nhwc, strict=True):
            np.testing.assert_array_equal(row, pixels.decode(file.read_bytes(), 16, 20, 3))


def test_a_class_that_loses_all_its_images_is_an_error(tmp_path: Path) -> None:
    """The error names the class and the first file with its reason."""
    write_image_folder(tmp_path / "data", 2, 4)
    for file in (tmp_path / "data/red").iterdir():
        file.write_bytes(b"GIF89a")
    with pytest.raises(DatasetError, match=r"class 'red' has no readable training image; 4 of 8 .*red/00\d\.png first"):
        _fill(tmp_path / "data")


def test_no_room_for_the_cache_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder for temporary files that fails is told before anything is decoded, with what to change."""
    write_image_folder(tmp_path / "data", 2, 4)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(DatasetError, match=r"no room for 8 decoded images.*TMPDIR"):
        _fill(tmp_path / "data", limit_mib=0)


def test_the_fingerprint_follows_names_and_contents(tmp_path: Path) -> None:
    """A class's fingerprint changes with a file's content and with its name, and with nothing else."""
    write_image_folder(tmp_path / "data", 2, 4)
    before = _fill(tmp_path / "data").fingerprint
    os.utime(tmp_path / "data/red/000.png", (0, 0))
    assert _fill(tmp_path / "data").fingerprint == before
    (tmp_path / "data/red/000.png").rename(tmp_path / "data/red/renamed.png")
    renamed = _fill(tmp_path / "data").fingerprint
    (tmp_path / "data/red/renamed.png").write_bytes((tmp_path / "data/red/001.png").read_bytes())
    changed = _fill(tmp_path / "data").fingerprint
    assert len({before["red"], renamed["red"], changed["red"]}) == 3
    assert before["blue"] == renamed["blue"] == changed["blue"]
    assert len(before["blue"]) == len(hashlib.sha256().hexdigest())
