"""`rejected` as clients of a real server and of a bundle meet it."""

import csv
import io
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cnnsvc.client import AsyncClient, Client
from cnnsvc.occlusion import LEAST_BUDGET
from tests.bundles import threshold_between, write_bundle
from tests.e2e.server import CNNSVC, Server, serving
from tests.encoded import encode

pytestmark = pytest.mark.slow

IMAGES = [encode("PNG", seed=seed) for seed in range(6)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a model that rejects some of the images, which lie beside it."""
    folder = tmp_path_factory.mktemp("served")
    threshold = threshold_between(write_bundle(folder / "without"), IMAGES)
    (folder / "images").mkdir()
    for number, image in enumerate(IMAGES):
        (folder / "images" / f"{number}.png").write_bytes(image)
    return write_bundle(folder / "models", threshold=threshold)


@pytest.fixture(scope="module")
def server(bundle: Path) -> Iterator[Server]:
    with serving("--models-dir", bundle.parents[1], "--engine", "openvino") as server:
        yield server


@pytest.fixture(scope="module")
def rejected(server: Server) -> list[bool]:
    """What our HTTP API says of each image."""
    described = httpx.get(f"{server.http_url}/api/v1/models/flowers").raise_for_status().json()
    files = [(str(number), image) for number, image in enumerate(IMAGES)]
    answer = httpx.post(f"{server.http_url}/api/v1/classify", files=files).raise_for_status().json()
    found = [bool(result["rejected"]) for result in answer["results"]]
    assert found == [result["classes"][0]["score"] < described["threshold"] for result in answer["results"]]
    assert set(found) == {False, True}
    return found


def test_the_python_clients(server: Server, rejected: list[bool]) -> None:
    """One call, many images and a stream agree, and the description names the threshold."""
    with Client(server.grpc_address) as client:
        assert [client.classify(image).rejected for image in IMAGES] == rejected
        assert [found.rejected for found in client.classify_many(IMAGES)] == rejected
        streamed = dict(client.classify_stream(enumerate(IMAGES)))
        assert [getattr(streamed[place], "rejected", None) for place in range(6)] == rejected
        described = client.get_model()
        assert described.threshold is not None
        assert [client.classify(image).best.score < described.threshold for image in IMAGES] == rejected


async def test_the_asyncio_client(server: Server, rejected: list[bool]) -> None:
    """As the other one."""
    async with AsyncClient(server.grpc_address) as client:
        assert [(await client.classify(image)).rejected for image in IMAGES] == rejected


@pytest.mark.parametrize("place", ["server", "bundle"])
def test_the_command_line(server: Server, bundle: Path, rejected: list[bool], place: str) -> None:
    """The table says none of these and what is closest, JSON and CSV have a field, with a server and without."""
    where = ["--server", server.grpc_address] if place == "server" else ["--bundle", bundle, "--engine", "openvino"]
    images = bundle.parents[2] / "images"

    def said(*words: object) -> str:
        command = [str(CNNSVC), "classify", str(images), *map(str, where), *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    assert ["  none of these, closest is " in line for line in said().splitlines()] == rejected
    assert [json.loads(line)["rejected"] for line in said("--json").splitlines()] == rejected
    rows = csv.DictReader(io.StringIO(said("--csv", "--top-k", 1)))
    assert [row["rejected"] for row in rows] == [str(one) for one in rejected]


@pytest.mark.parametrize("place", ["server", "bundle"])
def test_an_explanation(server: Server, bundle: Path, rejected: list[bool], tmp_path: Path, place: str) -> None:
    """`cnnsvc explain` says so too, whatever class it explains."""
    where = ["--server", server.http_url] if place == "server" else ["--bundle", bundle, "--engine", "openvino"]
    images = bundle.parents[2] / "images"
    for number in (rejected.index(True), rejected.index(False)):
        words = [CNNSVC, "explain", images / f"{number}.png", *where, "--budget", LEAST_BUDGET, "--class-name", "rose"]
        done = subprocess.run([*map(str, words)], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
        assert ("none of these" in done.stdout) == rejected[number]
