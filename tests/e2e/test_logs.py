"""The log of a server as a log collector meets it: every line is JSON, and every failed call can be found in it."""

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from cnnsvc.pb import classifier_pb2 as pb
from cnnsvc.pb import classifier_pb2_grpc as pb_grpc
from tests.bundles import write_bundle
from tests.e2e.server import CNNSVC, Server, serving
from tests.encoded import encode

pytestmark = pytest.mark.slow


WHITE = encode("PNG", np.full((40, 40, 3), 255, np.uint8))
JSON_ON_ONNX_RUNTIME = ("--engine", "onnxruntime", "--log-format", "json")


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that proves itself and fails inside the engine on white images."""
    folder = tmp_path_factory.mktemp("models")
    write_bundle(folder, breaks_on_white=True)
    return folder


@pytest.fixture(scope="module")
def ids() -> dict[str, str]:
    """Request ids that the doors answered with, by what was called."""
    return {}


@pytest.fixture(scope="module")
def lines(models_dir: Path, ids: dict[str, str]) -> list[dict[str, Any]]:
    """The whole log of a server that answered, refused and failed on both doors, and stopped."""
    with serving("--models-dir", models_dir, *JSON_ON_ONNX_RUNTIME) as server:
        _call_http(server, ids)
        _call_grpc(server, ids)
        server.process.terminate()
        assert server.process.wait(timeout=30) == 0
    return [json.loads(line) for line in server.log]


def _call_http(server: Server, ids: dict[str, str]) -> None:
    url = f"{server.http_url}/api/v1/classify"
    with httpx.Client() as http:
        assert http.post(url, content=encode("PNG")).status_code == 200
        broken = http.post(url, content=WHITE).json()
        assert broken["status"] == 500
        ids["http internal"] = broken["request_id"]
        ids["http invalid"] = http.post(url, content=b"text\n{").json()["request_id"]
        ids["http own"] = http.post(url, content=b"", headers={"X-Request-Id": "mine-1"}).headers["x-request-id"]


def _call_grpc(server: Server, ids: dict[str, str]) -> None:
    with grpc.insecure_channel(server.grpc_address) as channel:
        stub = pb_grpc.ClassifierStub(channel)
        stub.Classify(pb.ClassifyRequest(images=[encode("PNG")]))
        for name, image, status in (
            ("grpc internal", WHITE, grpc.StatusCode.INTERNAL),
            ("grpc invalid", b"text", grpc.StatusCode.INVALID_ARGUMENT),
        ):
            with pytest.raises(grpc.RpcError) as failed:
                stub.Classify(pb.ClassifyRequest(images=[image]))
            assert failed.value.code() is status
            ids[name] = _request_id(failed.value)
        with pytest.raises(grpc.RpcError) as failed:
            stub.Classify(pb.ClassifyRequest(), metadata=[("x-request-id", "mine-2")])
        ids["grpc own"] = _request_id(failed.value)


def _request_id(error: grpc.RpcError) -> str:
    return next(str(item.value) for item in error.trailing_metadata() if item.key == "x-request-id")


def test_every_line_is_json(lines: list[dict[str, Any]]) -> None:
    """From the first line to the last, whichever library wrote it."""
    assert lines[0]["message"].startswith("cnnsvc ")
    assert "http_url" in lines[0]
    assert lines[-1]["message"] == "stopped"
    assert {"cnnsvc.loader", "cnnsvc.calls"} <= {line["logger"] for line in lines}
    for line in lines:
        assert {"time", "level", "logger", "message"} <= line.keys()


@pytest.mark.parametrize("door", ["http", "grpc"])
def test_an_internal_error_is_found_by_its_id(lines: list[dict[str, Any]], ids: dict[str, str], door: str) -> None:
    """The id that the caller was told leads to one line, an error with its traceback."""
    [line] = _of(lines, ids[f"{door} internal"])
    assert (line["level"], line["logger"]) == ("ERROR", f"cnnsvc.{door}")
    assert line["exception"].startswith("Traceback")
    assert "EngineError: onnxruntime failed on model.onnx" in line["exception"]


@pytest.mark.parametrize("door", ["http", "grpc"])
def test_a_refused_call_is_found_by_its_id(lines: list[dict[str, Any]], ids: dict[str, str], door: str) -> None:
    """It is one line at info that says what came, over which door, and how long it took."""
    [line] = _of(lines, ids[f"{door} invalid"])
    assert (line["level"], line["kind"], line["protocol"], line["method"]) == ("INFO", "invalid", door, "classify")
    assert "not an image" in line["message"]
    assert line["duration_ms"] > 0


@pytest.mark.parametrize(("door", "own"), [("http", "mine-1"), ("grpc", "mine-2")])
def test_the_callers_own_id_is_kept(lines: list[dict[str, Any]], ids: dict[str, str], door: str, own: str) -> None:
    """An id that the caller chose comes back and is in the log."""
    assert ids[f"{door} own"] == own
    [line] = _of(lines, own)
    assert line["protocol"] == door


def _of(lines: list[dict[str, Any]], request_id: str) -> list[dict[str, Any]]:
    return [line for line in lines if line.get("request_id") == request_id]


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("door", ["http", "grpc"])
def test_a_start_that_fails_says_so_in_json(models_dir: Path, taken_port: int, door: str) -> None:
    """A port in use is one critical line and the same exit status as with a log of text."""
    other = "http" if door == "grpc" else "grpc"
    words = [CNNSVC, "serve", "--models-dir", models_dir, f"--{door}-port", taken_port, f"--{other}-port", "0"]
    command = [str(word) for word in (*words, "--log-format", "json")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    line = [json.loads(line) for line in ended.stderr.splitlines()][-1]
    assert line["level"] == "CRITICAL"
    assert f"cannot listen on 127.0.0.1:{taken_port}" in line["message"]
