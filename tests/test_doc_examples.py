"""The shell examples of README.md and docs/ do what they say, one page after the other, as a reader types them."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from tests.doc_examples import copy_world, documents, examples, shell, write_world

NOT_RUN: Final = {
    ("README.md", "needs a package index"): 1,
    ("README.md", "sets up the repository and runs every test"): 1,
    ("call.md", "needs grpcurl"): 1,
    ("clients.md", "needs Node.js"): 1,
    ("clients.md", "needs the generators of Go"): 1,
    ("deploy.md", "needs a Docker engine"): 1,
    ("deploy.md", "needs a Docker engine and an NVIDIA GPU"): 1,
    ("deploy.md", "needs a Kubernetes cluster"): 1,
    ("deploy.md", "needs root and systemd"): 1,
    ("migrate.md", "asks servers of other makers"): 1,
    ("migrate.md", "needs a Kubernetes cluster"): 1,
    ("operate.md", "needs a Docker engine"): 1,
    ("operate.md", "needs several versions"): 1,
    ("operate.md", "takes minutes, and a machine that does nothing else"): 1,
    ("remote.md", "needs a server that infers"): 1,
    ("search.md", "goes on with a search that was interrupted"): 1,
    ("search.md", "needs a package index, and trains 28 networks"): 1,
    ("search.md", "needs several machines"): 1,
    ("serve.md", "needs a Docker engine"): 1,
    ("serve.md", "needs a package index"): 1,
    ("traces.md", "needs a Docker engine"): 1,
    ("traces.md", "needs a package index"): 1,
    ("train.md", "it is cut by hand"): 1,
    ("train.md", "it trains for hours"): 1,
    ("train.md", "needs a package index and an NVIDIA GPU"): 1,
}
_TRAINING_PAGES: Final = ("README.md", "train.md")
"""These begin without a model; the others speak of one that is there."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, and the model that the first example of train.md makes of them."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed: apt-get install curl")
    folder = tmp_path_factory.mktemp("world")
    write_world(folder)
    with shell(folder) as opened:
        opened.run("cnnsvc train flowers --name flowers\n")
    return folder


def test_what_is_not_run_is_known() -> None:
    """Only the examples listed here, with their reasons, are not run."""
    found = Counter(
        (document.name, example.not_run)
        for document in documents()
        for example in examples(document)
        if example.not_run
    )
    assert found == NOT_RUN


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("document", documents(), ids=lambda document: document.name)
def test_examples_run(document: Path, world: Path, tmp_path: Path) -> None:
    """Every example of the page ends with status 0; a server that one starts serves the ones after it."""
    copy_world(world, tmp_path, with_models=document.name not in _TRAINING_PAGES)
    with shell(tmp_path) as opened:
        for example in examples(document):
            if not example.not_run:
                opened.run(example.script)
