"""A server as a user has it, which the foreign clients of one file share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bundles import threshold_between, write_bundle
from tests.e2e.server import Server, serving
from tests.outside.client_programs import pictures
from tests.outside.environments import served_from_wheel


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two versions of the model flowers, the second of which rejects some of the pictures."""
    folder, images = tmp_path_factory.mktemp("models"), pictures(3)[0]
    write_bundle(folder)
    threshold = threshold_between(write_bundle(folder.with_name("without"), seed=1), images)
    write_bundle(folder, seed=1, threshold=threshold)
    return folder


@pytest.fixture(scope="module")
def server(models_dir: Path) -> Iterator[Server]:
    """From the wheel, in a folder that is not ours, both versions served."""
    arguments = ["--models-dir", models_dir, "--versions", "all"]
    with serving(*arguments, command=[served_from_wheel()], cwd=Path("/")) as server:
        yield server
