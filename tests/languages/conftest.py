"""A server that the examples of docs/clients.md call."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.server import Server, serving
from tests.languages.examples import write_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the examples name."""
    folder = tmp_path_factory.mktemp("clients")
    write_folder(folder)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    """One that asks for tokens."""
    options = ["--models-dir", folder / "models", "--tokens-file", folder / "tokens.toml", "--engine", "openvino"]
    with serving(*options) as server:
        yield server
