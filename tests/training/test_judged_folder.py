"""Folders to judge a network on: which classes they may have."""

from pathlib import Path

import pytest

from cnnsvc.errors import DatasetError
from training.judged_folder import absent_classes, scan_judged

NAMES = ["daisy", "rose", "tulip"]


def _write(folder: Path, *files: str) -> Path:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_classes_are_the_networks(tmp_path: Path) -> None:
    """Labels are places in the network's class names, one image of one class is enough, and others are ignored."""
    listing = scan_judged(_write(tmp_path, "tulip/deep/a.JPG", "rose/b.txt", ".hidden/c.png", "d.png"), NAMES)
    assert [file.name for file in listing.files] == ["a.JPG"]
    assert listing.labels.tolist() == [2]
    assert listing.num_ignored == {".txt": 1}
    assert absent_classes(listing) == ["daisy", "rose"]


def test_unknown_classes_are_refused(tmp_path: Path) -> None:
    """Each sub-folder that is no class is named beside those that are."""
    with pytest.raises(
        DatasetError, match=r"no class of the network: 'Rose', 'oak'; it knows 'daisy', 'rose', 'tulip'"
    ):
        scan_judged(_write(tmp_path, "oak/a.png", "Rose/a.png", "rose/a.png"), NAMES)


def test_broken_bytes_in_an_extension(tmp_path: Path) -> None:
    """What cannot be written as JSON is counted as what can."""
    listing = scan_judged(_write(tmp_path, "rose/a.png", "rose/b.\udcff"), NAMES)
    assert listing.num_ignored == {".\N{REPLACEMENT CHARACTER}": 1}


@pytest.mark.parametrize(
    ("files", "complaint"),
    [(["rose/a.txt"], "no image of any class; expected files that end in .bmp"), (["a.png"], "no image of any class")],
)
def test_nothing_to_judge_on(tmp_path: Path, files: list[str], complaint: str) -> None:
    """A folder without an image is refused with what is expected."""
    with pytest.raises(DatasetError, match=complaint):
        scan_judged(_write(tmp_path, *files), NAMES)


def test_no_folder(tmp_path: Path) -> None:
    """What is not there, and what is a file, is said to be."""
    with pytest.raises(DatasetError, match="nowhere does not exist"):
        scan_judged(tmp_path / "nowhere", NAMES)
    with pytest.raises(DatasetError, match="is a file"):
        scan_judged(_write(tmp_path, "a.png") / "a.png", NAMES)
