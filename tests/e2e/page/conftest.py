"""A browser, pictures and a server for tests of the page at /."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import Page, chromium, new_page
from tests.bundles import write_bundle
from tests.e2e.page.visitor import Visitor
from tests.e2e.server import Server, serving
from tests.encoded import encode

CLASS_NAMES = ["daisy", "rose", "tulip", "orchid", "lily", "<b>poppy</b>"]


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if (program := chromium()) is None:
        pytest.skip("needs a Chromium: apt-get install chromium-headless-shell")
    with new_page(program, tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture(scope="module")
def shared_models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "models"
    write_bundle(folder, class_names=CLASS_NAMES)
    write_bundle(folder, "trees", class_names=["oak", "elm"])
    return folder


@pytest.fixture(scope="module")
def server(shared_models_dir: Path) -> Iterator[Server]:
    with serving("--models-dir", shared_models_dir, "--engine", "openvino", "--body-limit-bytes", 2_000_000) as server:
        yield server


@pytest.fixture
def visitor(tab: Page, server: Server) -> Iterator[Visitor]:
    visitor = Visitor(tab, server.http_url)
    yield visitor
    visitor.check_peace()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    files = [folder / name for name in ("one.jpg", "two.png", "three.webp", "<i>four</i>.gif".replace("/", "-"))]
    for seed, file in enumerate(files):
        file.write_bytes(encode({"jpg": "JPEG"}.get(file.suffix[1:], file.suffix[1:].upper()), seed=seed))
    return files


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    file = tmp_path / "rose.png"
    file.write_bytes(encode("PNG"))
    return file
