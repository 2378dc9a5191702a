"""TensorFlow Serving's own client, which changes an address and nothing else."""

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.bundles import CLASS_NAMES, SHAPE, write_bundle
from tests.e2e.server import Server, serving
from tests.encoded import encode, scene
from tests.outside.environments import client_python, served_from_wheel
from tests.service.serving import falsify_golden_answers
from tests.tokens import TokenFiles, write_tokens

pytestmark = pytest.mark.slow

CLIENT = Path(__file__).parent / "clients" / "tensorflow_serving.py"
IMAGES = [encode("PNG", scene(SHAPE.height, SHAPE.width, seed)) for seed in range(3)]
"""As large as the network wants them, so that TensorFlow's decoder gives the same pixels as ours."""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, TokenFiles]]:
    """A server with tokens and three versions, the last of which is broken, and the first of which serves."""
    folder = tmp_path_factory.mktemp("guarded")
    for seed in range(3):
        path = write_bundle(folder / "models", seed=seed)
    falsify_golden_answers(path)
    tokens = write_tokens(folder)
    arguments = ["--models-dir", folder / "models", "--versions", "1,3", "--tokens-file", tokens.tokens_file]
    with serving(*arguments, command=[served_from_wheel()], cwd=Path("/")) as server:
        yield server, tokens


@pytest.fixture(scope="module")
def found(server: Server, guarded: tuple[Server, TokenFiles]) -> Any:
    """What one run of the client reports: TensorFlow takes long to load."""
    with_admin, tokens = guarded
    given = {
        "grpc_address": server.grpc_address,
        "http_url": server.http_url,
        "model": "flowers",
        "class_names": CLASS_NAMES,
        "images": [base64.b64encode(image).decode() for image in IMAGES],
        "scores": _own_scores(server, 2),
        "first_scores": _own_scores(server, 1),
        "admin_address": with_admin.grpc_address,
        "token": tokens.token,
    }
    command = [str(client_python("tensorflow-serving")), "-I", str(CLIENT)]
    finished = subprocess.run(
        command, input=json.dumps(given), capture_output=True, text=True, timeout=240, check=False, cwd="/"
    )
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


def _own_scores(server: Server, version: int) -> list[list[float]]:
    """What our own API answers, in the order of the class names."""
    body = {
        "images": [base64.b64encode(image).decode() for image in IMAGES],
        "version": version,
        "top_k": len(CLASS_NAMES),
    }
    answer = httpx.post(f"{server.http_url}/api/v1/classify", json=body).raise_for_status().json()
    by_name = [{one["name"]: one["score"] for one in result["classes"]} for result in answer["results"]]
    return [[scores[name] for name in CLASS_NAMES] for scores in by_name]


def test_predictions_are_our_own(found: Any) -> None:
    """Every signature, field and version over gRPC has the scores of our own API, to the last digit of float32."""
    assert found["predictions"] == dict.fromkeys(
        (
            *("encoded", "encoded_by_default", "uint8", "float", "uint8_values"),
            *("filtered", "version", "examples"),
        ),
        True,
    )
    assert found["one_value_fills"]
    assert found["resolved"] == {"name": "flowers", "version": 2, "signature": "serving_bytes"}


def test_none_of_the_classes(server: Server, found: Any) -> None:
    """A filter that names `rejected` gets truth values beside the scores, by the threshold of the model."""
    threshold = httpx.get(f"{server.http_url}/api/v1/models/flowers/2").raise_for_status().json()["threshold"]
    assert found["rejected"] == [max(row) < threshold for row in _own_scores(server, 2)]


def test_classifications_are_our_own(found: Any) -> None:
    """Examples get named classes, best first, with the same scores."""
    assert found["classifications"] == {"examples": True, "context": True}


def test_rest_is_our_own(found: Any) -> None:
    """Rows, columns, names, pixels, versions and examples in JSON have the same scores."""
    names = ("rows", "named_rows", "pixels", "columns", "version", "classify")
    assert found["rest"] == dict.fromkeys(names, True)
    status, body = found["refused_rest"]
    assert (status, list(body)) == (400, ["error"])


def test_signatures_are_described(found: Any) -> None:
    """TensorFlow's own messages unpack the names and types of the signatures; REST tells the same names."""
    probabilities = {"probabilities": "float32"}
    assert found["metadata"] == {
        "serving_default": [{"image": "uint8"}, probabilities],
        "serving_float": [{"image": "float32"}, probabilities],
        "serving_bytes": [{"image_bytes": "string"}, probabilities],
        "classify": [{"inputs": "string"}, {"classes": "string", "scores": "float32"}],
    }
    described = found["rest_metadata"]
    assert described["model_spec"] == {"name": "flowers", "signature_name": "", "version": "2"}
    assert set(described["metadata"]["signature_def"]["signature_def"]) == set(found["metadata"])


def test_versions_have_states(found: Any) -> None:
    """Newest first, one where one is asked, and the same over REST."""
    assert found["status"] == [[2, "AVAILABLE", 0, ""], [1, "AVAILABLE", 0, ""]]
    assert found["status_of_one"] == [[1, "AVAILABLE", 0, ""]]
    states = found["rest_status"]["model_version_status"]
    assert [(one["version"], one["state"]) for one in states] == [("2", "AVAILABLE"), ("1", "AVAILABLE")]


@pytest.mark.parametrize(
    ("call", "status", "words"),
    [
        ("model", "NOT_FOUND", "Servable not found for request: Latest(roses)"),
        ("version", "NOT_FOUND", "Servable not found for request: Specific(flowers, 77)"),
        ("label", "INVALID_ARGUMENT", "Unrecognized servable version label: none"),
        ("input", "INVALID_ARGUMENT", "picture came; expected one, image, DT_UINT8"),
        ("type", "INVALID_ARGUMENT", "has type DT_INT64"),
        ("shape", "INVALID_ARGUMENT", "has shape [24, 32, 3]; expected [-1, 24, 32, 3]"),
        ("fractions", "INVALID_ARGUMENT", "the network takes 0 to 255"),
        ("output", "INVALID_ARGUMENT", "output tensor alias not found in signature: logits"),
        ("regress", "UNIMPLEMENTED", "regression is not offered"),
        ("multi_inference", "UNIMPLEMENTED", "MultiInference is not offered"),
        ("reload", "PERMISSION_DENIED", "that wants tokens"),
    ],
)
def test_refusals_are_those_of_tensorflow_serving(found: Any, call: str, status: str, words: str) -> None:
    """A wrong call has its status, and words that say what is expected."""
    assert found["refusals"][call][0] == status
    assert words in found["refusals"][call][1]


def test_an_operator_reloads_the_config(found: Any) -> None:
    """Versions and labels become those of the config, before it is answered; a wrong one changes nothing."""
    day = found["operator"]
    assert day["before"] == {"1": "AVAILABLE", "3": "END"}
    assert day["without_token"][0] == "UNAUTHENTICATED"
    assert day["reloaded"] == 0
    assert day["after"] == {"1": "AVAILABLE", "2": "AVAILABLE", "3": "END"}
    assert day["broken"][0] == "ABORTED"
    assert "version 3 of model flowers is refused" in day["broken"][1]
    assert day["elsewhere"][0] == "INVALID_ARGUMENT"
    assert "base_path of model flowers is '/elsewhere'" in day["elsewhere"][1]
    assert day["label"][0] == "ABORTED"
    assert "assign label to version 3 of model flowers, which is not currently available" in day["label"][1]
    assert day["unchanged"] == day["after"]
