"""`cnnsvc preview`: the page shows what training draws, and a wrong path is told before TensorFlow loads."""

import base64
import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cnnsvc import pixels
from cnnsvc.errors import DatasetError, InvalidError
from cnnsvc.manifest import ImageShape
from tests.training.scenes import encoded, scene, write_scenes
from tests.training.test_report_page import Document
from training.preview import MAX_CLASSES, NUM_VIEWS, image_shape, read_samples
from training.preview_command import app
from training.settings import TrainSettings

ROOT = Path(__file__).parents[2]
SMALL = ImageShape(16, 16, 3)


def preview(path: Path, page: Path, *flags: str) -> Document:
    done = CliRunner().invoke(app, [str(path), "--html", str(page), "--image-size", "24", *flags])
    assert (done.exit_code, done.stdout) == (0, f"{page}\n")
    return Document(page.read_text())


def shown(document: Document) -> list[Any]:
    """The pictures of a page of small images, uint8 (H, W, C) or grey (H, W)."""
    contents = [image["src"].removeprefix("data:image/png;base64,") for image in document.all("img")]
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))) for content in contents]


def claims_to_be_large() -> bytes:
    """A PNG whose header speaks of 200 million pixels."""
    content = encoded(scene(1), "PNG")
    header = b"IHDR" + struct.pack(">II", 20_000, 10_000) + content[24:29]
    return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "scene.jpg"
    path.write_bytes(encoded(scene(1)))
    return path


@pytest.mark.slow
def test_views_are_what_training_draws(image: Path, tmp_path: Path) -> None:
    """The original is what the network sees, the views are the first steps of the layers with that seed."""
    from training.augment import augmentation_layers

    flags = ("--augment", "full", "--augment-strength", "0.5", "--seed", "7")
    original, *views = shown(preview(image, tmp_path / "page.html", *flags))
    np.testing.assert_array_equal(original, pixels.decode(image.read_bytes(), 24, 24, 3))
    assert len({view.tobytes() for view in views}) == NUM_VIEWS
    layers = augmentation_layers("full", seed=7, strength=0.5)
    for view in views:
        outputs: Any = original[np.newaxis].astype(np.float32)
        for layer in layers:
            outputs = layer(outputs, training=True)
        np.testing.assert_allclose(view, np.asarray(outputs)[0], atol=0.51)


@pytest.mark.slow
def test_the_page_says_how_it_came_about(image: Path, tmp_path: Path) -> None:
    """It holds the flags and how far each change goes, and asks nothing from outside; the seed decides the views."""
    flags = ("--augment", "full", "--augment-strength", "0.5", "--color", "grayscale")
    document = preview(image, tmp_path / "page.html", *flags)
    said = document.sections["flags"]
    for text in ("--augment full", "--augment-strength 0.5", "--image-size 24", "--color grayscale", "--seed 100"):
        assert text in said
    for text in ("left-right flip half of all", "rotation ± 9°", "zoom ± 7.5 %", "shift ± 5 %", "brightness ± 10 %"):
        assert text in said
    assert all(picture.shape == (24, 24) for picture in shown(document))
    (policy,) = [meta["content"] for meta in document.all("meta") if "http-equiv" in meta]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    first = (tmp_path / "page.html").read_text()
    preview(image, tmp_path / "page.html", *flags)
    assert (tmp_path / "page.html").read_text() == first
    other = shown(preview(image, tmp_path / "page.html", *flags, "--seed", "101"))
    assert other[1].tobytes() != shown(document)[1].tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("flags", [("--augment", "none"), ("--augment", "full", "--augment-strength", "0")])
def test_nothing_is_told_to_be_nothing(image: Path, tmp_path: Path, flags: tuple[str, ...]) -> None:
    """Where a training changes nothing there is the original alone, and the page says so."""
    document = preview(image, tmp_path / "page.html", *flags)
    assert len(document.all("img")) == 1
    assert "Nothing: a training with these flags shows the network each image as it is." in document.sections["flags"]


@pytest.mark.slow
def test_a_folder_shows_one_image_a_class(tmp_path: Path) -> None:
    """Each class has its section, with draws of its own, and a name that is markup adds no element."""
    write_scenes(tmp_path / "data", 2, ("cat", "<script>window.hacked = 1<!--"))
    document = preview(tmp_path / "data", tmp_path / "page.html")
    assert not document.all("script")
    assert document.sections["image-1"].startswith("<script>window.hacked = 1<!-- 00.jpg original 1 2")
    assert document.sections["image-2"].startswith("cat 00.jpg original 1 2")
    assert len(document.all("img")) == 2 * (1 + NUM_VIEWS)


@pytest.mark.slow
def test_classes_do_not_share_their_draws(tmp_path: Path) -> None:
    """The same image in two classes is changed otherwise, as it would be in training."""
    write_scenes(tmp_path / "data", 2)
    (tmp_path / "data/dog/00.jpg").write_bytes((tmp_path / "data/cat/00.jpg").read_bytes())
    pictures = shown(preview(tmp_path / "data", tmp_path / "page.html"))
    np.testing.assert_array_equal(pictures[0], pictures[1 + NUM_VIEWS])
    assert len({picture.tobytes() for picture in pictures}) == 1 + 2 * NUM_VIEWS


def test_many_classes_are_cut(tmp_path: Path) -> None:
    """Of a folder of many classes the first are shown, and it is known how many are not."""
    write_scenes(tmp_path, 2, tuple(f"{number:02d}" for number in range(MAX_CLASSES + 3)))
    samples, num_hidden = read_samples(tmp_path, SMALL)
    assert [sample.class_name for sample in samples] == [f"{number:02d}" for number in range(MAX_CLASSES)]
    assert num_hidden == 3


def test_what_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    """A class shows its first image that can be read; where none can, the error has a reason."""
    write_scenes(tmp_path, 2)
    (tmp_path / "cat/00.jpg").write_bytes(b"no image")
    assert [sample.file for sample in read_samples(tmp_path, SMALL)[0]] == ["01.jpg", "00.jpg"]
    (tmp_path / "cat/01.jpg").write_bytes(b"no image")
    with pytest.raises(InvalidError, match=r"class 'cat' has no image that can be read; the last of 2: .*not an image"):
        read_samples(tmp_path, SMALL)


def test_the_size_is_that_of_a_training() -> None:
    """The network's own size counts where none is given, and the colour decides the channels."""
    assert image_shape(TrainSettings()) == ImageShape(180, 180, 3)
    assert image_shape(TrainSettings(model="listing", color="grayscale")) == ImageShape(200, 200, 1)
    assert image_shape(TrainSettings(image_size=64)) == ImageShape(64, 64, 3)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("nowhere.jpg", "is not there; expected an image, or a folder with one sub-folder a class"),
        ("x" * 300, "cannot be read: File name too long"),
        ("notes.txt", "not an image: 8 bytes"),
        ("large.png", "allowed are"),
    ],
)
def test_a_wrong_path_is_told(tmp_path: Path, name: str, complaint: str) -> None:
    """The error names the file and what is wrong with it."""
    (tmp_path / "notes.txt").write_bytes(b"no image")
    (tmp_path / "large.png").write_bytes(claims_to_be_large())
    done = CliRunner().invoke(app, [str(tmp_path / name), "--html", str(tmp_path / "page.html")])
    assert isinstance(done.exception, InvalidError)
    assert name in str(done.exception)
    assert complaint in str(done.exception)
    assert not (tmp_path / "page.html").exists()


def test_a_folder_without_classes_is_told(tmp_path: Path) -> None:
    """It is what a training would say of it."""
    with pytest.raises(DatasetError, match="has no sub-folders"):
        read_samples(tmp_path, SMALL)


@pytest.mark.parametrize("name", ["nowhere/page.html", ".", "x" * 300])
def test_a_page_that_cannot_be_written(image: Path, tmp_path: Path, name: str) -> None:
    """It is told before the image is read."""
    done = CliRunner().invoke(app, [str(image), "--html", str(tmp_path / name)])
    assert isinstance(done.exception, InvalidError)
    assert "--html" in str(done.exception)


def test_a_wrong_path_loads_no_tensorflow(tmp_path: Path) -> None:
    """The console script ends with status 2 and one line, without the seconds of TensorFlow's import."""
    program = (
        "import sys\nfrom cnnsvc.cli import app\n"
        "try:\n    app()\nfinally:\n    assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", program, "preview", str(tmp_path / "nowhere")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("cnnsvc: ")
    assert done.stderr.count("\n") == 1
