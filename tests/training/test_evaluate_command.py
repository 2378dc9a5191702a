"""`cnnsvc evaluate`: a bundle judged by the code that serves, past bad files, without TensorFlow."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from cnnsvc import pixels
from cnnsvc.engines.base import Images, Scores
from cnnsvc.errors import BundleError, DatasetError, EngineError
from cnnsvc.manifest import read_manifest, write_manifest
from tests.bundles import CLASS_NAMES, write_bundle
from tests.encoded import encode
from tests.training.judged import write_judged_folder
from training.answers import answer_all
from training.cache import fingerprint_of
from training.dataset import scan
from training.evaluate_command import app
from training.judged_folder import scan_judged
from training.originals import sha256_of

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


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


def test_the_figures(bundle: Path, folder: Path) -> None:
    """Programs get every figure, every file that could not be read, and what answered."""
    done = run(bundle, folder, "--json", "--artifact", "model.onnx", "--engine", "openvino")
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert (found["model"], found["version"], found["artifact"]) == ("flowers", 1, "model.onnx")
    assert found["engine"] == "openvino"
    assert (found["num_files"], found["ignored"]) == (18, {".txt": 1})
    assert [one["file"] for one in found["unreadable"]] == ["tulip/broken.jpg", "tulip/link.png"]
    assert found["unreadable"][1]["reason"] == "a link to nothing"
    assert found["absent_classes"] == ["daisy"]
    judgement = found["judgement"]
    assert (judgement["num_images"], judgement["num_right"], judgement["accuracy"]) == (16, 12, 0.75)
    assert judgement["confusion"] == [[0, 0, 0], [0, 6, 2], [0, 2, 6]]
    assert judgement["balanced_accuracy"] == 0.75
    assert judgement["classes"][0]["recall"] is None


def test_words(bundle: Path, folder: Path) -> None:
    """People read the same in a table and lines."""
    done = run(bundle, folder)
    assert done.exit_code == 0
    for text in (
        "flowers version 1: model.onnx in ",
        f"16 images of 2 classes in {folder}",
        "ignored by extension: 1 .txt",
        "no image of daisy: how good it is at these stays unknown",
        "accuracy 0.750 (12 of 16 images right; 95 % interval 0.505 to 0.898)",
        "balanced accuracy 0.750, macro F1 0.750",
        "rose taken for tulip: 2 (25.0% of the class)",
        "unreadable, in none of the figures: 2",
        "  tulip/link.png: a link to nothing",
    ):
        assert text in done.stdout
    assert "very ones" not in done.stdout


def test_the_training_data_again(tmp_path: Path, folder: Path) -> None:
    """Classes whose files are those of the bundle's own data are told of."""
    path = write_bundle(tmp_path)
    manifest = read_manifest(path)
    listing = scan(folder)
    sha256s = {file: sha256_of(file.read_bytes()) if file.exists() else "" for file in listing.files}
    classes = {name: {"sha256": sha256} for name, sha256 in fingerprint_of(listing, sha256s).items()}
    classes["tulip"] = {"sha256": "0" * 64}
    write_manifest(path, msgspec.structs.replace(manifest, training={"data": {"classes": classes}}))
    assert json.loads(run(path, folder, "--json").stdout)["same_as_training"] == ["rose"]
    assert "warning: the files of rose are the very ones" in run(path, folder).stdout


@pytest.mark.parametrize("training", [{}, {"data": 3}, {"data": {"classes": []}}, {"data": {"classes": {"rose": 1}}}])
def test_whatever_the_record_is(tmp_path: Path, folder: Path, training: dict[str, Any]) -> None:
    """The manifest's record of its training is for people: no form of it stops a judgement."""
    path = write_bundle(tmp_path)
    write_manifest(path, msgspec.structs.replace(read_manifest(path), training=training))
    assert run(path, folder).exit_code == 0


def test_what_cannot_be_judged(bundle: Path, tmp_path: Path) -> None:
    """Unknown classes, no readable file, an absent artifact and no bundle are errors that say what is allowed."""
    (tmp_path / "unknown/oak").mkdir(parents=True)
    (tmp_path / "broken/rose").mkdir(parents=True)
    (tmp_path / "broken/rose/a.png").write_bytes(b"no image")
    (tmp_path / "good/rose").mkdir(parents=True)
    (tmp_path / "good/rose/a.png").write_bytes(encode("PNG"))
    for words, kind, complaint in (
        ([bundle, tmp_path / "unknown"], DatasetError, "'oak'; it knows 'daisy'"),
        ([bundle, tmp_path / "broken"], DatasetError, "none of the 1 files"),
        ([bundle, tmp_path / "good", "--artifact", "saved_model/classify"], BundleError, r"it has \['model.onnx'\]"),
        ([tmp_path, tmp_path / "good"], BundleError, "manifest.json cannot be read"),
    ):
        error = run(*words).exception
        assert isinstance(error, kind)
        with pytest.raises(kind, match=complaint):
            raise error


def test_scores_that_are_no_numbers(folder: Path) -> None:
    """A network that answers so is an error, not a figure."""

    def run_badly(images_nhwc: Images) -> Scores:
        return np.full((len(images_nhwc), 3), np.nan, np.float32)

    with pytest.raises(EngineError, match="no numbers for"):
        answer_all(
            scan_judged(folder, CLASS_NAMES), lambda file: pixels.decode(file, 24, 32, 3), run_badly, num_threads=2
        )


def test_no_tensorflow(bundle: Path, folder: Path) -> None:
    """The whole command runs where nothing of TensorFlow, Keras, matplotlib or Jinja is loaded, as where it is not
    installed."""
    program = (
        "import sys\n"
        "for name in ('tensorflow', 'keras', 'matplotlib', 'jinja2', 'onnx', 'tf2onnx'): sys.modules[name] = None\n"
        "from cnnsvc.cli import app\n"
        "app()"
    )
    for words in (["evaluate", bundle, folder, "--json"], ["compare", bundle, bundle, folder, "--json"]):
        done = subprocess.run(
            [sys.executable, "-c", program, *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert json.loads(done.stdout)["num_files"] == 18
