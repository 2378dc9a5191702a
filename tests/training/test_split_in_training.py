"""The split of `cnnsvc train`: which rule, what is said of the data, and what is left out, up to the first decoding."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cnnsvc.errors import DatasetError
from tests.training.runs import QUICK
from tests.training.scenes import encoded, scene, write_scenes
from training import prepare, run
from training.cache import Cache
from training.dataset import Listing, Split
from training.progress import Reporter
from training.settings import TrainSettings


class StoppedError(Exception):
    pass


def split_of(folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> tuple[Listing, Split, str]:
    """What a training with these settings hands to the cache, and what it said until then."""
    seen: list[Any] = []

    def stop(listing: Listing, split: Split, *_: Any, **__: Any) -> Cache:
        seen.extend((listing, split))
        raise StoppedError

    monkeypatch.setattr(prepare, "fill_cache", stop)
    out = io.StringIO()
    settings = TrainSettings(arch=QUICK.arch, image_size=16, **changes)
    with pytest.raises(StoppedError):
        run.learn(folder, "scenes", settings, Reporter(Console(file=out)))
    return seen[0], seen[1], out.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight pictures a class, each cat twice: as it is, and encoded anew."""
    write_scenes(tmp_path, 8)
    for index in range(8):
        (tmp_path / f"cat/{index:02d}.png").write_bytes(encoded(scene(index), "PNG"))
    return tmp_path


def divided(split: Split) -> set[str]:
    """Cats that are on both sides."""
    sides = [
        {file.stem for file in part.files if file.parent.name == "cat"} for part in (split.training, split.validation)
    ]
    return sides[0] & sides[1]


@pytest.mark.parametrize("seed", range(5))
def test_duplicates_are_never_divided(folder: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """By default a picture and its likes are on one side; a quarter of each class validates."""
    listing, split, said = split_of(folder, monkeypatch, seed=seed)
    assert divided(split) == set()
    assert [split.validation.labels.tolist().count(label) for label in (0, 1)] == [4, 2]
    assert len(listing.files) == 24
    assert "duplicates: 0 exact copies and 8 groups of near duplicates, which stay on one side of the split" in said


def test_keras_divides_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other rule is Keras' own, and that is said."""
    _, split, said = split_of(folder, monkeypatch, split="keras")
    assert divided(split)
    assert "which may lie on both sides of the split" in said


@pytest.mark.parametrize("rule", ["grouped", "keras"])
def test_conflicts_are_listed_and_left_out_when_told_to(
    folder: Path, monkeypatch: pytest.MonkeyPatch, rule: str
) -> None:
    """Both files of each contradiction, exact or near, go; without the flag they stay and are named."""
    (folder / "dog/exact.jpg").write_bytes((folder / "cat/00.jpg").read_bytes())
    (folder / "dog/near.png").write_bytes(encoded(scene(1).resize((200, 150)), "PNG"))
    listing, _, said = split_of(folder, monkeypatch, split=rule)
    assert len(listing.files) == 26
    assert "warning: the same image under two labels, 4 times (--drop-conflicts leaves them out):" in said
    assert "  exact: cat/00.jpg = dog/exact.jpg" in said
    assert "  near: cat/01.jpg ≈ dog/near.png" in said
    listing, split, said = split_of(folder, monkeypatch, split=rule, drop_conflicts=True)
    left = {str(file.relative_to(folder)) for file in split.training.files + split.validation.files}
    assert len(left) == len(listing.files) == 20
    assert left.isdisjoint({"cat/00.jpg", "cat/00.png", "cat/01.jpg", "cat/01.png", "dog/exact.jpg", "dog/near.png"})
    assert "(left out)" in said


def test_a_class_of_conflicts_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where leaving out leaves nothing, the class is named."""
    write_scenes(tmp_path, 4)
    for index in range(4):
        (tmp_path / f"dog/{index:02d}.jpg").write_bytes((tmp_path / f"cat/{index:02d}.jpg").read_bytes())
    with pytest.raises(DatasetError, match="class 'cat' has 0 images left without the 8 that are left out"):
        run.learn(tmp_path, "scenes", TrainSettings(drop_conflicts=True), Reporter(Console(file=io.StringIO())))


def test_other_findings_are_warnings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong ending is told before the training; a folder in order gets no word."""
    write_scenes(tmp_path, 8)
    assert "warning" not in split_of(tmp_path, monkeypatch)[2].replace("warning: fewer than 20 images", "")
    (tmp_path / "cat/png.jpg").write_bytes(encoded(scene(77), "PNG"))
    said = split_of(tmp_path, monkeypatch)[2]
    assert "warning: 1 of 17 files end in another format's name, cat/png.jpg first" in said
