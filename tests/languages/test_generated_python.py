"""A client that a generator makes of the OpenAPI document, used as its makers mean it."""

import json
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.e2e.server import Server
from tests.languages.programs import printed

pytestmark = pytest.mark.slow

_CALLS: Final = """
import base64, io, json, sys
from cnnsvc_client import AuthenticatedClient
from cnnsvc_client.api.classification import classify
from cnnsvc_client.api.models import get_model, list_models
from cnnsvc_client.models import ClassifyFilesBody, ClassifyImage, ClassifyImages
from cnnsvc_client.types import File

url, token, path = sys.argv[1:]
image = open(path, "rb").read()
text = base64.b64encode(image).decode()
bodies = [
    File(io.BytesIO(image)),
    ClassifyFilesBody([File(io.BytesIO(image), "1.jpg", "image/jpeg"), File(io.BytesIO(image), "2.jpg", "image/jpeg")]),
    ClassifyImage(text, model="flowers"),
    ClassifyImages([text, text]),
]
with AuthenticatedClient(url, token, raise_on_unexpected_status=True) as client:
    for body in bodies:
        print(json.dumps(classify.sync(client=client, body=body, top_k=2).to_dict()))
    print(json.dumps(classify.sync(client=client, body=File(io.BytesIO(b"hello"))).to_dict()))
    print(json.dumps(list_models.sync(client=client).to_dict()))
    print(json.dumps(get_model.sync("flowers", client=client).to_dict()))
"""


@pytest.fixture(scope="module")
def answers(folder: Path, server: Server) -> list[dict[str, Any]]:
    """What the calls answer, as the generated types hold it."""
    document = f"{server.http_url}/openapi.json"
    options = ["--url", document, "--output-path", str(folder / "generated"), "--fail-on-warning"]
    printed("openapi-python-client", "generate", *options)
    token = (folder / "camera.token").read_text().strip()
    arguments = [server.http_url, token, str(folder / "rose.jpg")]
    lines = printed("python", "-W", "error", "-c", _CALLS, *arguments, cwd=folder / "generated")
    return [json.loads(line) for line in lines.splitlines()]


def _own(folder: Path, server: Server, path: str, **options: Any) -> Any:
    headers = {"Authorization": f"Bearer {(folder / 'camera.token').read_text().strip()}"}
    method = "POST" if options else "GET"
    return httpx.request(method, f"{server.http_url}/api/v1/{path}", headers=headers, **options).json()


def test_each_kind_of_body_is_answered(folder: Path, server: Server, answers: list[dict[str, Any]]) -> None:
    """The bytes alone, a form, and both kinds of JSON get the results that the server gives to anyone."""
    image = (folder / "rose.jpg").read_bytes()
    (expected,) = _own(folder, server, "classify?top_k=2", content=image)["results"]
    results = [answer["results"] for answer in answers[:4]]
    assert [len(found) for found in results] == [1, 2, 1, 2]
    assert all(result == expected for found in results for result in found)


def test_a_problem_has_its_type(answers: list[dict[str, Any]]) -> None:
    """An error comes as the document's Problem."""
    assert (answers[4]["kind"], answers[4]["status"]) == ("invalid", 400)


def test_nothing_of_an_answer_is_lost(folder: Path, server: Server, answers: list[dict[str, Any]]) -> None:
    """Models, read into the generated types and written again, are what the server sent."""
    assert answers[5] == _own(folder, server, "models")
    assert answers[6] == _own(folder, server, "models/flowers")
