"""What a shell at hand can do."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.bundles import CLASS_NAMES
from tests.deploy.programs import require
from tests.e2e.server import Server
from tests.encoded import encode

pytestmark = pytest.mark.slow


def test_curl_posts_a_file(server: Server, tmp_path: Path) -> None:
    """A file sent as it is comes back as named classes, best first, and a wrong one as a problem with its reason."""
    image = tmp_path / "image.png"
    image.write_bytes(encode("PNG"))
    url = f"{server.http_url}/api/v1/classify"
    curl = [require("curl", "curl"), "--silent", "--show-error"]
    answer = json.loads(subprocess.check_output([*curl, "--data-binary", f"@{image}", url]))
    classes = answer["results"][0]["classes"]
    assert sorted(each["name"] for each in classes) == sorted(CLASS_NAMES)
    assert classes == sorted(classes, key=lambda each: -float(each["score"]))
    problem = json.loads(subprocess.check_output([*curl, "--data-binary", "no image", url]))
    assert (problem["status"], problem["kind"]) == (400, "invalid")
