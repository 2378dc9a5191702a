"""What a shell at hand can do."""

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

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


def test_curl_speaks_the_foreign_protocols(server: Server, tmp_path: Path) -> None:
    """JSON for TensorFlow Serving and a file as it is for the Open Inference protocol get the scores of our own API."""
    image = tmp_path / "image.png"
    image.write_bytes(encode("PNG"))
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"instances": [{"b64": base64.b64encode(image.read_bytes()).decode()}]}))
    curl = [require("curl", "curl"), "--silent", "--show-error", "--fail-with-body"]

    def posted(path: str, file: Path, *more: str) -> Any:
        url = f"{server.http_url}{path}"
        return json.loads(subprocess.check_output([*curl, *more, "--data-binary", f"@{file}", url]))

    own = posted("/api/v1/classify", image)["results"][0]["classes"]
    scores = [score for _, score in sorted((each["name"], each["score"]) for each in own)]
    assert posted("/v1/models/flowers:predict", body)["predictions"] == [pytest.approx(scores, rel=1e-7)]
    raw = posted("/v2/models/flowers/infer", image, "--header", "Inference-Header-Content-Length: 0")
    assert raw["outputs"][0]["data"] == pytest.approx(scores, rel=1e-7)
