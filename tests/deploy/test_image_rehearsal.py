"""The Dockerfile's steps, done for real in a Debian root, and what comes out of them, run as a container would be."""

import json
import os
import re
import tempfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.image_root import missing_programs
from deploy.rehearse_image import ROOT, rehearse
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
    assert rehearsed.is_root_read_only
    assert _listed(rehearsed.sbom) == _locked()
    # 410 MB: 126 of the system, and of 284 more a third is OpenVINO. What is never loaded is gone already.
    assert rehearsed.base_bytes + rehearsed.added_bytes < 450e6, "serving has grown: has training got into it?"


def _listed(sbom: str) -> dict[str, str]:
    """Versions by package, of the bill of materials that is in the image; ours is what it is about, not a part."""
    document = json.loads(sbom)
    assert document["bomFormat"] == "CycloneDX"
    assert document["metadata"]["component"]["name"] == "cnnsvc"
    return {canonicalize_name(component["name"]): component["version"] for component in document["components"]}


def _locked() -> dict[str, str]:
    """Versions by package that requirements/serve.txt gives Python 3.11 on Linux."""
    environment = {"python_version": "3.11", "python_full_version": "3.11.2", "sys_platform": "linux"}
    lines = re.findall(r"^([a-z0-9][^\\\n]*)", (ROOT / "requirements" / "serve.txt").read_text(), re.MULTILINE)
    locked = [Requirement(line) for line in lines]
    wanted = [one for one in locked if one.marker is None or one.marker.evaluate(environment)]
    return {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in wanted}
