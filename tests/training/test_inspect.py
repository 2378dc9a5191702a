"""`cnnsvc inspect`: what it says of a folder with everything that may be wrong with one."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from cnnsvc.errors import DatasetError, InvalidError
from tests.training.scenes import encoded, scene, write_scenes
from tests.training.test_report_page import Document
from training.inspect_command import app

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten cats and ten dogs of one size, and one of each finding."""
    folder = tmp_path_factory.mktemp("data")
    write_scenes(folder)
    files = {
        "cat/same.jpg": (folder / "cat/00.jpg").read_bytes(),
        "cat/near.png": encoded(scene(1), "PNG"),
        "dog/stray.jpg": (folder / "cat/02.jpg").read_bytes(),
        "dog/strayed.jpg": encoded(scene(3).resize((200, 150))),
        "dog/really.jpg": encoded(scene(50), "PNG"),
        "dog/webp.png": encoded(scene(51), "WEBP"),
        "dog/broken.jpg": (folder / "dog/00.jpg").read_bytes()[:500],
        "dog/text.png": b"no image",
        "cat/plain.png": encoded(Image.new("RGB", (240, 180), (9, 99, 199)), "PNG"),
        "cat/tiny.png": encoded(scene(52).resize((15, 40)), "PNG"),
        "cat/list.txt": b"",
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def run(*words: str) -> Any:
    return CliRunner().invoke(app, list(words), catch_exceptions=True)


@pytest.fixture(scope="module")
def found(folder: Path) -> Any:
    done = run(str(folder), "--json")
    assert done.exit_code == 0
    return json.loads(done.stdout)


def test_counts(folder: Path, found: Any) -> None:
    """Classes, formats by content, sizes and ignored files are counted."""
    assert found["folder"] == str(folder)
    assert (found["num_files"], found["num_images"]) == (30, 28)
    assert found["classes"] == [
        {"name": "cat", "num_images": 14, "num_unreadable": 0},
        {"name": "dog", "num_images": 14, "num_unreadable": 2},
    ]
    assert found["formats"] == {"JPEG": 24, "PNG": 4, "WebP": 1, "unknown": 1}
    assert found["sizes"] == [
        {"width": 15, "height": 40, "num_images": 1},
        {"width": 240, "height": 180, "num_images": 26},
    ]
    assert found["num_sizes"] == 3
    assert found["ignored"] == {".txt": 1}
    assert found["imbalance"] == 1.0
    assert found["obstacle"] is None


def test_bad_files(found: Any) -> None:
    """Files are named with what they are, whatever their names say."""
    assert [one["file"] for one in found["unreadable"]] == ["dog/broken.jpg", "dog/text.png"]
    assert "expected JPEG, PNG" in found["unreadable"][1]["reason"]
    assert found["wrong_endings"] == [
        {"file": "dog/really.jpg", "format": "PNG"},
        {"file": "dog/webp.png", "format": "WebP"},
    ]
    assert found["single_colour"] == ["cat/plain.png"]
    assert found["tiny"] == ["cat/tiny.png"]


def test_duplicates_and_conflicts(found: Any) -> None:
    """Exact and near are told apart, within a class and across."""
    assert found["exact_duplicates"] == [["cat/00.jpg", "cat/same.jpg"], ["cat/02.jpg", "dog/stray.jpg"]]
    assert found["near_duplicates"] == [["cat/01.jpg", "cat/near.png"], ["cat/03.jpg", "dog/strayed.jpg"]]
    assert found["exact_conflicts"] == [["cat/02.jpg", "dog/stray.jpg"]]
    assert found["near_conflicts"] == [["cat/03.jpg", "dog/strayed.jpg"]]


def test_words(folder: Path) -> None:
    """The terminal has every finding with its count and its files."""
    done = run(str(folder))
    assert done.exit_code == 0
    for text in (
        "28 images of 2 classes",
        "formats: 24 JPEG, 4 PNG, 1 unknown, 1 WebP",
        "3 sizes: smallest, most frequent, largest: 15 × 40 (1), 240 × 180 (26)",
        "ignored by extension: 1 .txt",
        "the same image under two labels: 2",
        "exact: cat/02.jpg = dog/stray.jpg",
        "near: cat/03.jpg ≈ dog/strayed.jpg",
        "unreadable: 2",
        "dog/really.jpg is PNG",
        "single-colour: 1",
        "less than 16 pixels wide or high: 1",
    ):
        assert text in done.stdout


def test_a_folder_in_order(tmp_path: Path) -> None:
    """Where nothing is wrong, that is said; a small class is."""
    write_scenes(tmp_path, 6)
    assert "nothing found that is wrong" in run(str(tmp_path)).stdout
    for index in range(20):
        (tmp_path / f"cat/{index + 6:02d}.jpg").write_bytes(encoded(scene(index + 6)))
    assert "imbalance: the largest class has 4.3 times the images of the smallest" in run(str(tmp_path)).stdout


def test_names_cannot_act(tmp_path: Path) -> None:
    """Escape sequences in a file's name reach no terminal."""
    write_scenes(tmp_path, 3)
    (tmp_path / "cat/\x1b[31mred\n.png").write_bytes(b"no image")
    done = run(str(tmp_path))
    assert r"cat/\x1b[31mred\n.png: not an image" in done.stdout
    assert "\x1b" not in done.stdout


def test_the_page(folder: Path, tmp_path: Path) -> None:
    """Each finding has a section with pictures inside the page, which asks nothing from outside."""
    assert run(str(folder), "--html", str(tmp_path / "page.html")).exit_code == 0
    document = Document((tmp_path / "page.html").read_text())
    for name, text in {
        "classes": "can be trained on",
        "files": "dog/text.png",
        "conflicts": "cat/02.jpg 240 × 180 JPEG dog/stray.jpg",
        "near-conflicts": "dog/strayed.jpg 200 × 150 JPEG",
        "exact": "cat/same.jpg",
        "near": "cat/near.png",
        "endings": "dog/webp.png 240 × 180 WebP",
        "plain": "cat/plain.png",
        "tiny": "15 × 40 PNG",
    }.items():
        assert text in document.sections[name]
    assert len(document.all("img")) == 16  # 2 + 2 of conflicts, 4 + 4 of duplicates, 2 + 1 + 1
    assert all(image["src"].startswith("data:image/jpeg;base64,") for image in document.all("img"))
    assert {link["href"] for link in document.all("a")} == {f"#{name}" for name in document.sections if name}
    (policy,) = [meta["content"] for meta in document.all("meta") if "http-equiv" in meta]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    """A name that is markup adds no element to the page."""
    write_scenes(tmp_path / "data", 3)
    (tmp_path / "data/cat/<script>window.hacked = 1<!--.jpg").write_bytes((tmp_path / "data/cat/00.jpg").read_bytes())
    run(str(tmp_path / "data"), "--html", str(tmp_path / "page.html"))
    document = Document((tmp_path / "page.html").read_text())
    assert not document.all("script")
    assert "<script>window.hacked = 1<!--.jpg" in document.sections["exact"]


def test_many_of_a_kind_are_cut(tmp_path: Path) -> None:
    """Page and terminal stay short, and say what they leave out."""
    write_scenes(tmp_path / "data", 30)
    for file in sorted((tmp_path / "data").rglob("*.jpg")):
        for number in range(9 if file.name == "00.jpg" else 1):
            file.with_name(f"{file.stem}-{number}.jpg").write_bytes(file.read_bytes())
    done = run(str(tmp_path / "data"), "--html", str(tmp_path / "page.html"))
    assert "and 4 more\n" in done.stdout
    assert "and 50 more; --json names all" in done.stdout
    section = Document((tmp_path / "page.html").read_text()).sections["exact"]
    assert "And 4 more like these." in section
    assert "40 more; --json names all." in section


@pytest.mark.parametrize("words", [["--json"], []])
def test_a_folder_that_cannot_be_trained_on(tmp_path: Path, words: list[str]) -> None:
    """What was found is printed all the same, and the error has the reason, for which the status is 2."""
    write_scenes(tmp_path, 3)
    for file in (tmp_path / "dog").iterdir():
        file.write_bytes(b"GIF89a")
    done = run(str(tmp_path), *words)
    assert isinstance(done.exception, DatasetError)
    assert "cannot be trained on: class 'dog' has no readable image; 3 of its files cannot be read" in str(
        done.exception
    )
    assert "GIF" in done.stdout


def test_a_page_that_cannot_be_written(folder: Path, tmp_path: Path) -> None:
    """It is told before the folder is read where its place is not there."""
    done = run(str(folder), "--html", str(tmp_path / "nowhere/page.html"))
    assert isinstance(done.exception, InvalidError)
    assert "there is no folder" in str(done.exception)
    assert isinstance(run(str(folder), "--html", str(tmp_path)).exception, InvalidError)


def test_nothing_heavy_is_loaded(folder: Path, tmp_path: Path) -> None:
    """Text and page come without TensorFlow, Keras and matplotlib."""
    program = (
        "import sys; from typer.testing import CliRunner; from training.inspect_command import app\n"
        "assert CliRunner().invoke(app, sys.argv[1:]).exit_code == 0\n"
        "print(*{'tensorflow', 'keras', 'matplotlib'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", program, str(folder), "--html", str(tmp_path / "page.html")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_console_script_ends_with_status_2(tmp_path: Path) -> None:
    """A missing folder is one line on standard error."""
    command = [sys.executable, "-c", "from cnnsvc.cli import app; app()", "inspect", str(tmp_path / "nowhere")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "does not exist" in done.stderr
