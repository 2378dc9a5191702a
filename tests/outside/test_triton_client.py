"""NVIDIA's clients of the Open Inference protocol get of our server what they get of theirs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from cnnsvc.engines.base import Scores
from tests.bundles import CLASS_NAMES, SHAPE
from tests.e2e.server import Server
from tests.outside.client_programs import own_scores, pictures, run_client

pytestmark = pytest.mark.slow

_PROTOCOLS = pytest.mark.parametrize("protocol", ["http", "grpc"])
_NUM_IMAGES = 3


@dataclass
class Asked:
    """What the client got over each protocol, and our own API's scores of the same images."""

    answers: dict[str, dict[str, Any]]
    expected: Scores
    expected_of_first_version: Scores


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    encoded, pixels = pictures(_NUM_IMAGES)
    for number, (image, pixels_hwc) in enumerate(zip(encoded, pixels, strict=True)):
        (folder / f"{number}.png").write_bytes(image)
        np.save(folder / f"{number}.npy", pixels_hwc)
    np.save(folder / "all.npy", np.stack(pixels))
    return folder


@pytest.fixture(scope="module")
def asked(server: Server, files: Path) -> Asked:
    images = [files / f"{number}.png" for number in range(_NUM_IMAGES)]
    address = server.http_url.removeprefix("http://")
    answers = run_client("tritonclient", "triton.py", address, server.grpc_address, *images, files / "all.npy")
    encoded = [image.read_bytes() for image in images]
    return Asked(answers, own_scores(server.http_url, encoded), own_scores(server.http_url, encoded, version=1))


@_PROTOCOLS
def test_health(asked: Asked, protocol: str) -> None:
    """Server, model and version are live and ready."""
    found = asked.answers[protocol]
    assert [found[name] for name in ("live", "ready", "model_ready", "version_ready")] == [True] * 4


@_PROTOCOLS
def test_descriptions(asked: Asked, protocol: str) -> None:
    """Server, model, configuration and repository are described, with numbers as each protocol's clients show them."""
    found = asked.answers[protocol]
    assert found["server"]["name"] == "cnnsvc"
    assert {"binary_tensor_data", "classification", "model_configuration"} <= set(found["server"]["extensions"])
    assert found["metadata"]["versions"] == ["1", "2"]
    (source,), (target,) = found["metadata"]["inputs"], found["metadata"]["outputs"]
    dims = [SHAPE.height, SHAPE.width, SHAPE.channels]
    assert (source["name"], source["datatype"], _integers(source["shape"])) == ("image", "UINT8", [-1, *dims])
    assert (target["name"], target["datatype"]) == ("probabilities", "FP32")
    assert _integers(target["shape"]) == [-1, len(CLASS_NAMES)]
    config = found["config"] if protocol == "http" else found["config"]["config"]
    (described,) = config["input"]
    assert (described["data_type"], described["format"]) == ("TYPE_UINT8", "FORMAT_NHWC")
    assert _integers(described["dims"]) == dims
    index = found["index"] if protocol == "http" else found["index"]["models"]
    assert [(one["name"], one["version"], one["state"]) for one in index] == [
        ("flowers", "1", "READY"),
        ("flowers", "2", "READY"),
    ]


@_PROTOCOLS
def test_every_form_of_an_image_gets_our_own_scores(asked: Asked, protocol: str) -> None:
    """Encoded, pixels in either type and order, plain, compressed and in JSON: to the last digit of the float32."""
    found = asked.answers[protocol]
    forms = ["bytes", "bytes_in_columns", "uint8", "fp32", "channels_first", "gzip", "async"]
    forms += ["json", "deflate", "gzip_binary"] if protocol == "http" else []
    for form in forms:
        assert np.array_equal(np.array(found[form], np.float32), asked.expected), form
    assert np.array_equal(np.array(found["version_1"], np.float32), asked.expected_of_first_version)
    assert not np.array_equal(asked.expected, asked.expected_of_first_version)
    assert found["answered"] == {"id": "first", "model_name": "flowers", "model_version": "2"}


@_PROTOCOLS
def test_classification(asked: Asked, protocol: str) -> None:
    """Two best classes an image as value:index:label, the value with every digit."""
    found = asked.answers[protocol]
    for texts in (found["classes"], found.get("classes_in_json", found["classes"])):
        for scores, row in zip(asked.expected, texts, strict=True):
            best = np.argsort(-scores)[:2]
            parts = [text.split(":") for text in row]
            assert [(int(index), label) for _, index, label in parts] == [(int(i), CLASS_NAMES[i]) for i in best]
            assert [np.float32(value) for value, _, _ in parts] == [scores[i] for i in best]


@_PROTOCOLS
def test_none_of_the_classes(server: Server, asked: Asked, protocol: str) -> None:
    """Who asks for the output `rejected` gets truth values beside the scores, by the threshold of the model."""
    threshold = httpx.get(f"{server.http_url}/api/v1/models/flowers/2").raise_for_status().json()["threshold"]
    found = asked.answers[protocol]["rejected"]
    assert np.array_equal(np.array(found["rows"], np.float32), asked.expected)
    assert found["rejected"] == (asked.expected.max(axis=1) < threshold).tolist()
    assert set(found["rejected"]) == {False, True}


@_PROTOCOLS
def test_refusals(asked: Asked, protocol: str) -> None:
    """They reach the client's own exception with a status and a sentence."""
    found = asked.answers[protocol]
    expected = {
        "timeout": ("504", "DEADLINE_EXCEEDED", "deadline"),
        "no_model": ("404", "NOT_FOUND", "served are flowers"),
        "no_output": ("400", "INVALID_ARGUMENT", "the model has one output"),
        "scaled": ("400", "INVALID_ARGUMENT", "the network takes 0 to 255"),
        "load": ("501", "UNIMPLEMENTED", "admin API"),
        "unload": ("501", "UNIMPLEMENTED", "admin API"),
    }
    for name, (http_status, grpc_status, words) in expected.items():
        status, message = found[name]
        assert status == (http_status if protocol == "http" else f"StatusCode.{grpc_status}"), name
        assert words in message, name


@_PROTOCOLS
def test_statistics(asked: Asked, protocol: str) -> None:
    """Calls and images are counted, with their time; more of them later, over the other protocol."""
    (found,) = asked.answers[protocol]["statistics"]["model_stats"]
    success = {name: int(value) for name, value in found["inference_stats"]["success"].items()}
    assert (found["name"], found["version"]) == ("flowers", "2")
    assert success["count"] >= 6
    assert success["ns"] > 0
    assert int(found["inference_count"]) >= int(found["execution_count"]) >= success["count"]
    (earlier,) = asked.answers["http"]["statistics"]["model_stats"]
    assert int(found["inference_count"]) >= int(earlier["inference_count"])


def test_a_stream_answers_in_order(asked: Asked) -> None:
    """Each request with its id, and one that fails with its error after all the others."""
    stream = asked.answers["grpc"]["stream"]
    assert stream["ids"] == ["0", "1", "2"]
    assert np.array_equal(np.array(stream["rows"], np.float32), asked.expected)
    assert "not an image" in stream["error"]


@pytest.mark.parametrize("protocol", ["http", "grpc", "stream"])
def test_an_image_client_that_knows_nothing_of_the_model(
    server: Server, asked: Asked, files: Path, protocol: str
) -> None:
    """As Triton's own one: from metadata and configuration alone to the right labels of every image."""
    address = server.http_url.removeprefix("http://") if protocol == "http" else server.grpc_address
    pixels = [files / f"{number}.npy" for number in range(_NUM_IMAGES)]
    found = run_client("tritonclient", "triton_images.py", protocol, address, len(CLASS_NAMES), *pixels)
    assert len(found) == _NUM_IMAGES
    for scores, classes in zip(asked.expected, found, strict=True):
        assert [index for _, index, _ in classes] == np.argsort(-scores).tolist()
        for score, index, label in classes:
            assert (np.float32(score), label) == (scores[index], CLASS_NAMES[index])


def _integers(values: list[Any]) -> list[int]:
    return [int(value) for value in values]
