"""training/dataset.py: class names, files and subsets."""

from pathlib import Path

import numpy as np
import pytest

from cnnsvc.errors import DatasetError
from tests.images import write_image_folder
from training.dataset import Listing, scan, split_like_keras


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def _names(listing: Listing) -> list[str]:
    return [str(file.relative_to(listing.folder)) for file in listing.files]


def test_classes_are_the_sorted_visible_subfolders(tmp_path: Path) -> None:
    """Hidden folders and files beside the class folders are no classes; capitals sort before small letters."""
    _touch(tmp_path, "b/1.png", "b/2.png", "Z/1.png", "Z/2.png", ".git/1.png", "readme.txt")
    listing = scan(tmp_path)
    assert listing.class_names == ["Z", "b"]
    assert listing.labels.tolist() == [0, 0, 1, 1]


def test_files_count_by_extension_at_any_depth(tmp_path: Path) -> None:
    """Extensions count in any case and in nested folders; what does not count is counted by extension."""
    _touch(tmp_path, "a/x.JPG", "a/deep/er/y.jpeg", "a/z.webp", "a/w.webp", "a/notes", "b/1.gif", "b/.hid.bmp")
    listing = scan(tmp_path)
    assert _names(listing) == ["a/x.JPG", "a/deep/er/y.jpeg", "b/.hid.bmp", "b/1.gif"]
    assert listing.num_ignored == {"(none)": 1, ".webp": 2}


def test_linked_folders_are_not_entered_but_a_linked_class_is_one(tmp_path: Path) -> None:
    """Links are followed as Keras follows them: at the top, not below."""
    _touch(tmp_path, "elsewhere/1.png", "elsewhere/2.png", "data/a/1.png", "data/a/2.png")
    (tmp_path / "data/b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data/a/inner").symlink_to(tmp_path / "elsewhere")
    assert _names(scan(tmp_path / "data")) == ["a/1.png", "a/2.png", "b/1.png", "b/2.png"]


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ([], "has no sub-folders"),
        (["1.png"], "has no sub-folders"),
        (["a/1.png", "a/2.png"], "has one class only, 'a'"),
        (["a/1.png", "a/2.png", "b/1.png"], "class 'b' has 1 image in"),
        (["a/1.png", "a/2.png", "b/1.webp", "b/2.webp"], "class 'b' has 0 images"),
        (["a/1.png", "a/2.png", "b/1.webp", "b/2.webp"], "others do not count, such as the 2 .webp there"),
        (["Rose/1.png", "Rose/2.png", "rose/1.png", "rose/2.png"], "'Rose' and 'rose'"),
        (["rose/1.png", "rose/2.png", "rose /1.png", "rose /2.png"], "'rose' and 'rose '"),
        (["rose/1.png", "rose/2.png", "ro\u200bse/1.png", "ro\u200bse/2.png"], "have the same name"),
        (["caf\u00e9/1.png", "caf\u00e9/2.png", "cafe\u0301/1.png", "cafe\u0301/2.png"], "have the same name"),
        (["a\nb/1.png", "a\nb/2.png", "c/1.png", "c/2.png"], "cannot be printed"),
        (["a\u2028b/1.png", "a\u2028b/2.png", "c/1.png", "c/2.png"], "cannot be printed"),
        (["a\udcff/1.png", "a\udcff/2.png", "c/1.png", "c/2.png"], "cannot be printed"),
    ],
)
def test_a_folder_that_cannot_be_trained_on_is_refused(tmp_path: Path, files: list[str], complaint: str) -> None:
    """The error says what was found and what is expected."""
    _touch(tmp_path, *files)
    with pytest.raises(DatasetError) as error:
        scan(tmp_path)
    assert complaint in str(error.value)


@pytest.mark.parametrize(
    "name", ["\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\U0001f469\u200d\U0001f33e", "\u00e9", "a b"]
)
def test_joiners_belong_to_names(tmp_path: Path, name: str) -> None:
    """Persian words and emoji hold characters that are invisible alone."""
    _touch(tmp_path, f"{name}/1.png", f"{name}/2.png", "z/1.png", "z/2.png")
    assert name in scan(tmp_path).class_names


def test_a_missing_folder_and_a_file_are_told_apart(tmp_path: Path) -> None:
    """A wrong path is named for what it is."""
    _touch(tmp_path, "file.png")
    with pytest.raises(DatasetError, match="does not exist"):
        scan(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="is a file"):
        scan(tmp_path / "file.png")


def test_every_image_is_in_one_subset(tmp_path: Path) -> None:
    """The subsets share nothing, leave nothing out, and each label is its file's class."""
    names = write_image_folder(tmp_path / "data", 3, 8)
    listing = scan(tmp_path / "data")
    split = split_like_keras(listing, 0.25, 100)
    assert len(split.validation.files) == 6
    assert sorted(split.training.files + split.validation.files) == sorted(listing.files)
    for subset in (split.training, split.validation):
        assert [names[label] for label in subset.labels] == [file.parent.name for file in subset.files]
        assert subset.labels.dtype == np.int32


def test_another_seed_is_another_split(tmp_path: Path) -> None:
    """The seed decides who validates."""
    write_image_folder(tmp_path / "data", 2, 10)
    listing = scan(tmp_path / "data")
    validations = {tuple(split_like_keras(listing, 0.25, seed).validation.files) for seed in (1, 2)}
    assert len(validations) == 2


@pytest.mark.parametrize("num_images", [4, 6, 7, 11, 14, 30, 301])
def test_the_advised_split_suffices(tmp_path: Path, num_images: int) -> None:
    """The share that the error names leaves at least one image for validation."""
    files = [tmp_path / f"{number}.png" for number in range(num_images)]
    listing = Listing(tmp_path, ["a", "b"], files, np.arange(num_images, dtype=np.int32) % 2, {})
    with pytest.raises(DatasetError) as error:
        split_like_keras(listing, 0.001, 100)
    advised = float(str(error.value).rpartition(" ")[2])
    assert len(split_like_keras(listing, advised, 100).validation.files) == 1


def test_a_split_that_leaves_nothing_is_refused(tmp_path: Path) -> None:
    """Neither an empty validation subset nor a class without training images passes."""
    write_image_folder(tmp_path / "data", 2, 2)
    listing = scan(tmp_path / "data")
    with pytest.raises(DatasetError, match=r"leaves none of the 4 images .* at least 0\.25"):
        split_like_keras(listing, 0.2, 100)
    with pytest.raises(DatasetError, match="without training images"):
        split_like_keras(listing, 0.9, 100)
