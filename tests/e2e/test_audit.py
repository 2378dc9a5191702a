"""The audit log of a real server: every call of every kind in it, and one file a worker."""

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from cnnsvc.pb import classifier_pb2 as pb
from cnnsvc.pb import classifier_pb2_grpc as pb_grpc
from tests.bundles import write_bundle
from tests.e2e.server import Server, serving
from tests.encoded import encode

pytestmark = pytest.mark.slow

IMAGES = [encode("JPEG", seed=seed) for seed in range(4)]


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_bundle(folder)
    return folder


@pytest.fixture(scope="module")
def folder(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a server left that answered and refused calls on both doors, and stopped."""
    folder = tmp_path_factory.mktemp("audit")
    words = ("--audit-log", folder / "audit.jsonl", "--audit-images", folder / "images", "--engine", "openvino")
    with serving("--models-dir", models_dir, *words) as server:
        _call(server)
        assert "cnnsvc_audit_dropped_total 0.0" in httpx.get(f"{server.http_url}/metrics").text
        server.process.terminate()
        assert server.process.wait(timeout=30) == 0
    return folder


def _call(server: Server) -> None:
    url = f"{server.http_url}/api/v1/classify"
    httpx.post(url, content=IMAGES[0], headers={"x-request-id": "http"}).raise_for_status()
    files = [("a", IMAGES[0]), ("b", IMAGES[1])]
    httpx.post(url, files=files, headers={"x-request-id": "form"}).raise_for_status()
    assert httpx.post(url, content=b"text", headers={"x-request-id": "refused"}).status_code == 400
    assert httpx.post(f"{url}?top_k=x", content=IMAGES[0], headers={"x-request-id": "unread"}).status_code == 400
    with grpc.insecure_channel(server.grpc_address) as channel:
        stub = pb_grpc.ClassifierStub(channel)
        stub.Classify(pb.ClassifyRequest(images=[IMAGES[2]]), metadata=[("x-request-id", "grpc")])
        with contextlib.suppress(grpc.RpcError):
            unknown = pb.ClassifyRequest(images=[IMAGES[2]], model="roses")
            stub.Classify(unknown, metadata=[("x-request-id", "unknown")])
        sent = [*IMAGES, b"text"]
        requests = (pb.ClassifyStreamRequest(id=str(number), image=image) for number, image in enumerate(sent))
        assert len(list(stub.ClassifyStream(requests, metadata=[("x-request-id", "stream")]))) == len(sent)


def _lines(path: Path, request_id: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in lines if line["request_id"] == request_id]


def _sha256(image: bytes) -> str:
    return hashlib.sha256(image).hexdigest()


@pytest.mark.parametrize(
    ("request_id", "protocol", "code", "model", "images"),
    [
        ("http", "http", "ok", "flowers", IMAGES[:1]),
        ("form", "http", "ok", "flowers", IMAGES[:2]),
        ("refused", "http", "invalid", "flowers", [b"text"]),
        ("unread", "http", "invalid", "", []),
        ("grpc", "grpc", "ok", "flowers", IMAGES[2:3]),
        ("unknown", "grpc", "not_found", "", IMAGES[2:3]),
    ],
)
def test_a_call_is_a_line(
    folder: Path, request_id: str, protocol: str, code: str, model: str, images: list[bytes]
) -> None:
    """Answered or refused, by either protocol, with the hash of each image that was read."""
    (line,) = _lines(folder / "audit.jsonl", request_id)
    assert (line["protocol"], line["method"], line["code"], line["model"]) == (protocol, "classify", code, model)
    assert (line["address"], line["caller"]) == ("127.0.0.1", "")
    assert [one["sha256"] for one in line["images"]] == list(map(_sha256, images))
    assert all((one["class"] is not None) == (code == "ok") for one in line["images"])


def test_each_image_of_a_stream_is_a_line(folder: Path) -> None:
    """Those that were refused too."""
    lines = _lines(folder / "audit.jsonl", "stream")
    assert {line["method"] for line in lines} == {"classify_stream"}
    found = {line["images"][0]["sha256"]: line["code"] for line in lines}
    assert found == {**{_sha256(image): "ok" for image in IMAGES}, _sha256(b"text"): "invalid"}


def test_the_images_are_beside_it(folder: Path) -> None:
    """Every image that was read, once, under its hash."""
    kept = {path.name: path.read_bytes() for path in (folder / "images").iterdir()}
    assert kept == {_sha256(image): image for image in (*IMAGES, b"text")}


def test_each_worker_has_its_own_file(models_dir: Path, tmp_path: Path) -> None:
    """Together they hold every call."""
    words = ("--models-dir", models_dir, "--workers", 2, "--engine", "openvino")
    audit = ("--audit-log", tmp_path / "audit.jsonl", "--audit-images", tmp_path / "images")
    with serving(*words, *audit, until="all 2 workers serve") as server:
        for number in range(30):
            url, headers = f"{server.http_url}/api/v1/classify", {"x-request-id": str(number)}
            httpx.post(url, content=IMAGES[0], headers=headers).raise_for_status()
        server.process.terminate()
        assert server.process.wait(timeout=30) == 0
    files = [tmp_path / f"audit.worker-{number}.jsonl" for number in range(2)]
    assert sorted(path for path in tmp_path.iterdir() if path.is_file()) == files
    lines = [json.loads(line) for path in files for line in path.read_text().splitlines()]
    assert sorted(int(line["request_id"]) for line in lines) == list(range(30))
    for number in range(2):
        assert [path.name for path in (tmp_path / "images" / f"worker-{number}").iterdir()] == [_sha256(IMAGES[0])]
