"""`cnnsvc explain` as a person meets it, through a server and through a bundle alone."""

import io
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.bundles import write_bundle
from tests.e2e.server import CNNSVC, Server, serving
from tests.encoded import encode, scene

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explain")
    write_bundle(folder / "models")
    (folder / "scene.png").write_bytes(encode("PNG", seed=3))  # of most others the scores fall nowhere
    (folder / "words.png").write_text("hello")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    flags = ["--engine", "openvino", "--explain-budget-limit", 300]
    with serving("--models-dir", folder / "models", *flags) as server:
        yield server


def _explain(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    command = [str(CNNSVC), "explain", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=folder)


def test_server_and_bundle_explain_the_same(folder: Path, server: Server) -> None:
    """Both print the class with its score and regions, and write the same picture of the image's own size."""
    remote: list[object] = ["--server", server.http_url]
    local: list[object] = ["--bundle", folder / "models" / "flowers" / "1", "--engine", "openvino"]
    printed, pictures = [], []
    for name, where in [("remote.png", remote), ("local.png", local)]:
        finished = _explain(folder, "scene.png", *where, "--output", name)
        assert finished.returncode == 0, finished.stderr
        printed.append(finished.stdout.replace(name, "FILE"))
        pictures.append((folder / name).read_bytes())
    assert printed[0] == printed[1]
    first, *regions, last = printed[0].splitlines()
    assert "model flowers version 1, 193 inferences" in first
    assert len(regions) == 3
    assert regions[0].startswith("1.  ")
    assert last.startswith("FILE: ")
    assert pictures[0] == pictures[1]
    drawn = np.asarray(Image.open(io.BytesIO(pictures[0])).convert("RGB"))
    assert drawn.shape == scene(seed=3).shape
    assert not np.array_equal(drawn, scene(seed=3))


def test_the_picture_has_a_name_by_itself(folder: Path, server: Server) -> None:
    """Without --output it lies in the current folder under the image's name; a class can be named."""
    finished = _explain(folder, "scene.png", "--server", server.http_url, "--class-name", "tulip", "--budget", 16)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith("tulip ")
    assert (folder / "scene.explained.png").is_file()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["words.png"], 2, "not an image"),
        (["none.png"], 2, "cannot be read"),
        (["scene.png", "--class-name", "lily"], 2, "expected one of daisy, rose, tulip"),
        (["scene.png", "--budget", "301"], 2, "expected a whole number from 16 to 300"),
        (["scene.png", "--bundle", "models/flowers/1"], 2, "expected --server or --bundle"),
        (["scene.png", "--output", "no/such/folder.png"], 2, "cannot be written"),
    ],
)
def test_what_goes_wrong_is_one_line(folder: Path, server: Server, words: list[str], status: int, said: str) -> None:
    """The error says what came and what is allowed."""
    finished = _explain(folder, *words, "--server", server.http_url)
    assert (finished.returncode, said in finished.stderr) == (status, True), finished.stderr
    assert finished.stderr.count("\n") == 1


def test_a_door_of_another_kind(folder: Path, server: Server) -> None:
    """What is no HTTP server is told so, without what it said."""
    finished = _explain(folder, "scene.png", "--server", f"http://{server.grpc_address}")
    assert finished.returncode == 1
    assert finished.stderr == f"cnnsvc: {server.grpc_address} does not answer in HTTP; is it another program?\n"


def test_ordinary_calls_beside_explanations(server: Server) -> None:
    """While explanations are made, classification is answered as ever, and only it is counted as predictions."""
    url, image = server.http_url, encode("PNG", seed=1)
    expected = httpx.post(f"{url}/api/v1/classify", content=image).json()["results"]
    before = _num_predictions(url)

    def explain() -> httpx.Response:
        return httpx.post(f"{url}/api/v1/explain?budget=300", content=image, timeout=30)

    with ThreadPoolExecutor(3) as callers:
        explaining = [callers.submit(explain) for _ in range(3)]
        num_asked = 0
        while not all(call.done() for call in explaining) or num_asked < 10:
            assert httpx.post(f"{url}/api/v1/classify", content=image).json()["results"] == expected
            num_asked += 1
    answers = [call.result() for call in explaining]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert answers[0].json()["class_name"] == expected[0]["classes"][0]["name"]
    assert _num_predictions(url) == before + num_asked
    metrics = httpx.get(f"{url}/metrics").text
    assert 'method="explain"' in metrics


def _num_predictions(url: str) -> float:
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("cnnsvc_predictions_total{"))


def test_a_bundle_is_for_the_engines_of_this_machine(folder: Path) -> None:
    """An engine that has others infer is not offered where there is no server."""
    finished = _explain(folder, "scene.png", "--bundle", "models/flowers/1", "--engine", "remote")
    said = " ".join(finished.stderr.replace("│", " ").split())
    assert (finished.returncode, finished.stdout) == (2, "")
    assert "'remote' is not one of 'auto', 'openvino', 'onnxruntime'" in said
