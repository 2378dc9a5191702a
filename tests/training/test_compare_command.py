"""`cnnsvc compare`: two bundles on the same images, by class names, with a verdict."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cnnsvc.errors import InvalidError
from tests.bundles import CLASS_NAMES, write_bundle
from tests.training.judged import write_judged_folder
from training.compare_command import app

pytestmark = pytest.mark.slow


def run(*words: str | Path) -> Any:
    return CliRunner().invoke(app, [*map(str, words)], catch_exceptions=True)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def folder(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judged")
    write_judged_folder(folder, bundle)
    return folder


def test_classes_go_by_name(bundle: Path, folder: Path, tmp_path: Path) -> None:
    """A network that calls tulip what the other calls daisy is told so, in whatever order each has its classes."""
    other = write_bundle(tmp_path, "turned", class_names=CLASS_NAMES[::-1])
    done = run(bundle, other, folder, "--json", "--artifact-a", "model.onnx", "--artifact-b", "model.onnx")
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert found["pairs"] == {"both_right": 6, "only_a": 6, "only_b": 0, "both_wrong": 4}
    assert found["difference"] == -6 / 16
    assert found["interval"][0] < -6 / 16 < found["interval"][1] < 0
    assert found["p"] == pytest.approx(2 / 2**6)
    assert found["verdict"].startswith("A is better: p = 0.031")
    assert [one["file"] for one in found["differing"][:1]] == ["rose/6.png"]
    assert {(one["a"]["name"], one["b"]["name"]) for one in found["differing"]} == {("tulip", "daisy")}
    assert len(found["differing"]) == 8
    assert [one["file"] for one in found["unreadable"]] == ["tulip/broken.jpg", "tulip/link.png"]
    assert (found["a"]["model"], found["b"]["model"]) == ("flowers", "turned")
    assert found["a"]["judgement"]["num_right"] == 12
    assert found["a"]["size_bytes"] == (bundle / "model.onnx").stat().st_size
    assert 0 < found["a"]["median_inference_ms"] < 1000


def test_a_bundle_with_itself(bundle: Path, folder: Path) -> None:
    """Two alike show no difference, and people read it in words and tables."""
    done = run(bundle, bundle, folder)
    assert done.exit_code == 0
    for text in (
        "16 images in ",
        "flowers version 1",
        "A right       12        0",
        "A wrong        0        4",
        "accuracy of B less that of A: +0.0 points, 95 % interval -",
        "no difference that 16 images could show (p = 1.0000)",
        "unreadable, in none of the figures: 2",
    ):
        assert text in done.stdout
    assert "name differently" not in done.stdout


def test_differing_images_are_named(bundle: Path, folder: Path, tmp_path: Path) -> None:
    """Each with both answers; no escape of a name reaches the terminal."""
    other = write_bundle(tmp_path, "other", seed=5)
    text = run(bundle, other, folder).stdout
    assert "images that the two name differently: " in text
    assert ": A rose 0." in text


def test_other_classes_are_refused(bundle: Path, folder: Path, tmp_path: Path) -> None:
    """Bundles of different classes cannot be compared, and the error says which differ."""
    other = write_bundle(tmp_path, class_names=["daisy", "rose", "oak"])
    with pytest.raises(InvalidError, match="only A has 'tulip'; only B has 'oak'"):
        raise run(bundle, other, folder).exception
