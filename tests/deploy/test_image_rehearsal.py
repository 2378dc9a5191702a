"""The Dockerfile's steps, done for real in a Debian root, and what comes out of them, run as a container would be."""

import json
import os
import tempfile
from pathlib import Path

import pytest

from deploy.image_root import missing_programs
from deploy.rehearse_image import rehearse
from tests.bundles import CLASS_NAMES


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_image_serves() -> None:
    """Not as root, on a root folder that cannot be written: healthy, answers on both doors, ends in order."""
    if os.geteuid() != 0:
        pytest.skip("the rehearsal needs root for chroot and namespaces")
    if packages := missing_programs():
        pytest.skip(f"the rehearsal needs programs: apt-get install {' '.join(packages)}")
    with tempfile.TemporaryDirectory() as folder:  # not tmp_path, which would keep gigabytes of roots
        rehearsed = rehearse(Path(folder))
    assert set(rehearsed.user_ids) == {10001}
    assert rehearsed.health == "ready\n"
    classes = json.loads(rehearsed.classified_http)["results"][0]["classes"]
    assert sorted(scored["name"] for scored in classes) == CLASS_NAMES
    assert json.loads(rehearsed.classified_grpc)["classes"][0]["name"] == classes[0]["name"]
    assert rehearsed.exit_status == 0
    assert rehearsed.added_bytes < 700e6, "serving has grown: has training got into it?"
