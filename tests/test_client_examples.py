"""The examples of docs/python_client.md, run as they stand against a real server."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bundles import CLASS_NAMES, write_bundle
from tests.e2e.server import Server, serving
from tests.encoded import encode

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parent.parent / "docs" / "python_client.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
ADDRESS = "127.0.0.1:8500"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the examples name: rose.jpg, tulip.jpg, and pictures/ with two good files and a bad one."""
    folder = tmp_path_factory.mktemp("examples")
    write_bundle(folder / "models")
    (folder / "pictures").mkdir()
    for seed, name in enumerate(["rose.jpg", "tulip.jpg", "pictures/1.jpg", "pictures/2.jpg"]):
        (folder / name).write_bytes(encode("JPEG", seed=seed))
    (folder / "pictures" / "3.jpg").write_text("hello")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with serving("--models-dir", folder / "models") as server:
        yield server


def _run(example: str, folder: Path, server: Server) -> str:
    """What the example prints, with the address of this server in place of the documented one."""
    assert ADDRESS in example
    program = example.replace(ADDRESS, server.grpc_address)
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    return finished.stdout


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
@pytest.mark.slow
def test_every_example_runs(folder: Path, server: Server, number: int) -> None:
    """It ends well, says something, and needs nothing but what the page names."""
    assert _run(EXAMPLES[number], folder, server)


def test_the_examples_say_what_the_page_claims(folder: Path, server: Server) -> None:
    """The first one is three lines and a class; a folder goes on past its bad file; errors come by their kind."""
    assert len([line for line in EXAMPLES[0].splitlines() if line]) == 3
    assert any(name in _run(EXAMPLES[0], folder, server) for name in CLASS_NAMES)
    (of_folder,) = (example for example in EXAMPLES if "outcome.kind" in example)
    lines = sorted(_run(of_folder, folder, server).splitlines())
    assert [line.split()[0] for line in lines] == ["pictures/1.jpg", "pictures/2.jpg", "pictures/3.jpg"]
    assert lines[2].startswith("pictures/3.jpg invalid not an image: 5 bytes")
    (of_errors,) = (example for example in EXAMPLES if "except InvalidError" in example)
    assert _run(of_errors, folder, server).startswith("not an image: not an image: 5 bytes")
