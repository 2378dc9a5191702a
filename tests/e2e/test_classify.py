"""`cnnsvc classify` as a person and as a script meet it."""

import csv
import io
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bundles import CLASS_NAMES, write_bundle
from tests.e2e.server import CNNSVC, Server, serving
from tests.encoded import encode

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """images/ with four good files in two sub-folders, a bad one and one that is no image by name; models/."""
    folder = tmp_path_factory.mktemp("classify")
    write_bundle(folder / "models")
    (folder / "empty").mkdir()
    for index, name in enumerate(["a/1.jpg", "a/2.PNG", "b/3.webp", "b/c/4.gif"]):
        file = folder / "images" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encode({"jpg": "JPEG"}.get(name[-3:], name.rpartition(".")[2].upper()), seed=index))
    (folder / "images" / "b" / "bad.jpg").write_text("hello")
    (folder / "images" / "notes.txt").write_text("hello")
    (folder / "images" / ".hidden.jpg").write_text("hello")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with serving("--models-dir", folder / "models", "--engine", "openvino") as server:
        yield server


def _classify(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(CNNSVC), "classify", *map(str, words)], capture_output=True, text=True, timeout=60)


def test_a_folder_goes_on_past_bad_files(folder: Path, server: Server) -> None:
    """Every image below the folder is answered in order; the bad one is an error of its own and status 1 says so."""
    finished = _classify(folder / "images", "--json", "--server", server.grpc_address)
    records = [json.loads(line) for line in finished.stdout.splitlines()]
    names = [str(Path(record["file"]).relative_to(folder / "images")) for record in records]
    assert names == ["a/1.jpg", "a/2.PNG", "b/3.webp", "b/bad.jpg", "b/c/4.gif"]
    assert ["error" in record for record in records] == [False, False, False, True, False]
    assert "not an image: 5 bytes" in records[3]["error"]
    assert records[0]["model"] == "flowers"
    assert {scored["name"] for scored in records[0]["classes"]} == set(CLASS_NAMES)
    assert finished.returncode == 1
    assert finished.stderr == "cnnsvc: 1 of 5 images failed\n"


@pytest.mark.parametrize("output", ["--json", "--csv", ""])
def test_server_and_bundle_print_the_same(folder: Path, server: Server, output: str) -> None:
    """Answers through a server and through the bundle alone are equal to the last digit, in every output."""
    words = [folder / "images" / "a", folder / "images" / "b" / "3.webp", *([output] if output else [])]
    through_server = _classify(*words, "--server", server.grpc_address)
    through_bundle = _classify(*words, "--bundle", folder / "models" / "flowers" / "1", "--engine", "openvino")
    assert through_server.returncode == 0
    assert through_server.stdout == through_bundle.stdout
    assert len(through_server.stdout.splitlines()) == {"--csv": 10}.get(output, 3)


def test_csv_has_a_row_a_class(folder: Path, server: Server) -> None:
    """Rows name file, model, version, rank, class and score; a bad file has a row with its error."""
    finished = _classify(folder / "images" / "b", "--csv", "--top-k", 2, "--server", server.grpc_address)
    rows = list(csv.DictReader(io.StringIO(finished.stdout)))
    assert [(Path(row["file"]).name, row["rank"]) for row in rows] == [
        ("3.webp", "1"), ("3.webp", "2"), ("bad.jpg", ""), ("4.gif", "1"), ("4.gif", "2"),
    ]  # fmt: skip
    assert float(rows[0]["score"]) >= float(rows[1]["score"])
    assert "not an image" in rows[2]["error"]


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["nowhere.jpg"], 2, "nowhere.jpg is not there"),
        (["{folder}/empty"], 2, "holds no image"),
        (["{image}", "--server", "127.0.0.1:1"], 1, "127.0.0.1:1 cannot be reached"),
        (["{image}", "--server", "{server}", "--model", "roses"], 1, "served are flowers"),
        (["{image}", "--server", "{server}", "--bundle", "x"], 2, "not both"),
        (["{image}", "--json", "--csv"], 2, "not both"),
        (["{image}", "--bundle", "{folder}"], 1, "manifest.json cannot be read"),
        (["{image}", "--bundle", "{folder}/models/flowers/1", "--artifact", "model.xyz"], 1, "no artifact 'model.xyz'"),
        (["{image}", "--server", "{server}", "--top-k", "9"], 1, "top_k is 9; allowed are 1 to 3"),
    ],
)
def test_wrong_calls_say_what_is_wrong(
    folder: Path, server: Server, words: list[str], status: int, message: str
) -> None:
    """One line or one row says what came; the status tells a wrong call from a failure; no traceback."""
    places = {"folder": folder, "image": folder / "images" / "a" / "1.jpg", "server": server.grpc_address}
    finished = _classify(*(word.format(**places) for word in words))
    assert finished.returncode == status
    assert message in finished.stderr + finished.stdout
    assert "Traceback" not in finished.stderr


def test_a_server_that_dies_in_the_middle(folder: Path, tmp_path: Path) -> None:
    """The files that are left are printed with the reason, in order, and the exit status is 1; nothing hangs."""
    files = [tmp_path / f"{number:04d}.jpg" for number in range(5000)]
    for file in files:
        file.symlink_to(folder / "images" / "a" / "1.jpg")
    with serving("--models-dir", folder / "models") as server:
        words = [CNNSVC, "classify", tmp_path, "--json", "--server", server.grpc_address]
        with (
            (tmp_path / "said").open("w+") as stderr,
            subprocess.Popen([*map(str, words)], stdout=subprocess.PIPE, stderr=stderr, text=True) as command,
        ):
            assert command.stdout is not None
            first = command.stdout.readline()
            server.process.kill()
            lines = [first, *command.stdout]
            command.wait(timeout=60)
            stderr.seek(0)
            said = stderr.read()
    records = [json.loads(line) for line in lines]
    assert [record["file"] for record in records] == [str(file) for file in files]
    assert "classes" in records[0]
    assert f"{server.grpc_address} cannot be reached" in records[-1]["error"]
    num_failed = sum("error" in record for record in records)
    assert said == f"cnnsvc: {num_failed} of 5000 images failed\n"
    assert command.returncode == 1


def test_names_that_look_like_markup_are_printed_as_they_are(folder: Path, server: Server) -> None:
    """A file called [red].jpg keeps its name in the table."""
    file = folder / "[red].jpg"
    file.write_bytes(encode("JPEG"))
    assert _classify(file, "--server", server.grpc_address).stdout.startswith(f"{file}  ")
