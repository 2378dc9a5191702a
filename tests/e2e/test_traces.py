"""Traces as a collector gets them from a real server, and a server whose collector is away."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from cnnsvc.pb import classifier_pb2 as pb
from cnnsvc.pb import classifier_pb2_grpc as pb_grpc
from tests.bundles import write_bundle
from tests.e2e.otlp_receiver import Receiver, attributes_of, receiving
from tests.e2e.server import Server, serving
from tests.encoded import encode

pytestmark = pytest.mark.slow

IMAGE = encode("PNG")
WHITE = encode("PNG", np.full((40, 40, 3), 255, np.uint8))
"""Fails inside the engine."""
STAGES = ["admit", "queue", "decode", "inference", "rank"]
TRACES = {name: f"{number:032x}" for number, name in enumerate(("http", "grpc", "stream", "invalid", "broken"), 1)}
PARENT = "00f067aa0ba902b7"


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_bundle(folder, breaks_on_white=True)
    return folder


@pytest.fixture(scope="module")
def log() -> list[dict[str, Any]]:
    """Every line of the traced server."""
    return []


@pytest.fixture(scope="module")
def received(models_dir: Path, log: list[dict[str, Any]]) -> Iterator[Receiver]:
    """All that a server sent that answered, refused and failed on both doors, and stopped."""
    options = ("--engine", "onnxruntime", "--log-format", "json")
    with receiving() as receiver:
        with serving("--models-dir", models_dir, "--otlp-endpoint", receiver.url, *options) as server:
            _call_http(server)
            _call_grpc(server)
            server.process.terminate()
            assert server.process.wait(timeout=30) == 0
        log.extend(json.loads(line) for line in server.log)
        yield receiver


def _context(name: str) -> str:
    return f"00-{TRACES[name]}-{PARENT}-01"


def _call_http(server: Server) -> None:
    url = f"{server.http_url}/api/v1/classify"
    with httpx.Client() as http:
        for name, image, status in (("http", IMAGE, 200), ("invalid", b"text", 400), ("broken", WHITE, 500)):
            headers = {"traceparent": _context(name), "tracestate": "vendor=1", "x-request-id": name}
            assert http.post(url, content=image, headers=headers).status_code == status
        assert http.post(url, content=IMAGE).status_code == 200


def _call_grpc(server: Server) -> None:
    with grpc.insecure_channel(server.grpc_address) as channel:
        stub = pb_grpc.ClassifierStub(channel)
        stub.Classify(pb.ClassifyRequest(images=[IMAGE] * 2), metadata=[("traceparent", _context("grpc"))])
        requests = (pb.ClassifyStreamRequest(id=str(number), image=IMAGE) for number in range(3))
        answers = stub.ClassifyStream(requests, metadata=[("traceparent", _context("stream"))])
        assert all(answer.HasField("result") for answer in answers)


def _calls(received: Receiver, name: str) -> list[Span]:
    """The spans of the calls that continue this trace."""
    found = [span for span in received.spans if span.trace_id.hex() == TRACES[name]]
    return [span for span in found if span.kind == Span.SPAN_KIND_SERVER]


@pytest.mark.parametrize(
    ("name", "span_name"),
    [("http", "POST /api/v1/classify"), ("grpc", "cnnsvc.v1.Classifier/Classify")],
)
def test_a_callers_trace_goes_on(received: Receiver, name: str, span_name: str) -> None:
    """By either protocol the call is a child of the caller's span, and each of its stages one of the call's."""
    (call,) = _calls(received, name)
    assert (call.name, call.parent_span_id.hex()) == (span_name, PARENT)
    assert received.children(call) == STAGES
    assert call.status.code == Status.STATUS_CODE_UNSET
    attributes = attributes_of(list(call.attributes))
    assert (attributes["cnnsvc.model"], attributes["cnnsvc.version"]) == ("flowers", 1)
    assert attributes["cnnsvc.images"] == (2 if name == "grpc" else 1)
    assert attributes["client.address"] == "127.0.0.1"


def test_the_state_of_a_trace_is_kept(received: Receiver) -> None:
    """What other systems wrote into tracestate comes out unchanged."""
    (call,) = _calls(received, "http")
    assert call.trace_state == "vendor=1"


def test_each_image_of_a_stream_is_a_call(received: Receiver) -> None:
    """They are siblings in the caller's trace, each with its stages."""
    calls = _calls(received, "stream")
    assert [call.name for call in calls] == ["cnnsvc.v1.Classifier/ClassifyStream"] * 3
    assert {call.parent_span_id.hex() for call in calls} == {PARENT}
    assert [received.children(call) for call in calls] == [STAGES] * 3


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [("invalid", "invalid", Status.STATUS_CODE_UNSET), ("broken", "internal", Status.STATUS_CODE_ERROR)],
)
def test_a_failed_call(received: Receiver, log: list[dict[str, Any]], name: str, kind: str, code: int) -> None:
    """Its kind is in its span, an error of the span where it is our fault, and its trace is in its line of the log."""
    (call,) = _calls(received, name)
    attributes = attributes_of(list(call.attributes))
    assert (attributes["error.type"], attributes["cnnsvc.request_id"]) == (kind, name)
    assert call.status.code == code
    assert received.children(call) == []
    (line,) = [line for line in log if line.get("request_id") == name]
    assert (line["trace_id"], line["span_id"]) == (TRACES[name], call.span_id.hex())


def test_a_call_without_a_context_begins_a_trace(received: Receiver) -> None:
    """It has no parent, and a trace of its own."""
    (root,) = [span for span in received.spans if not span.parent_span_id]
    assert root.trace_id.hex() not in TRACES.values()
    assert received.children(root) == STAGES


def test_the_process_is_named(received: Receiver) -> None:
    """What is sent says which program of which version on which machine it is from."""
    resources = [attributes_of(list(batch.resource.attributes)) for batch in received.batches]
    assert {resource["service.name"] for resource in resources} == {"cnnsvc"}
    assert len({resource["service.instance.id"] for resource in resources}) == 1
    assert all(resource["service.version"] for resource in resources)


def test_each_worker_sends_its_own(models_dir: Path) -> None:
    """The traces of several workers differ in the worker that they name, and none is lost at the end."""
    with receiving() as receiver:
        words = ("--models-dir", models_dir, "--workers", 2, "--engine", "openvino", "--otlp-endpoint", receiver.url)
        with serving(*words, until="all 2 workers serve") as server:
            for _ in range(30):
                httpx.post(f"{server.http_url}/api/v1/classify", content=IMAGE).raise_for_status()
            server.process.terminate()
            assert server.process.wait(timeout=30) == 0
        workers = {attributes_of(list(batch.resource.attributes))["cnnsvc.worker"] for batch in receiver.batches}
        assert workers == {"0", "1"}
        assert sum(span.kind == Span.SPAN_KIND_SERVER for span in receiver.spans) == 30


@pytest.mark.parametrize("is_silent", [False, True])
def test_a_collector_that_is_away(models_dir: Path, is_silent: bool) -> None:
    """Whether it refuses or never answers: calls are as fast as ever, the log has one line, the end comes soon."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        if not is_silent:
            listener.close()
        with serving("--models-dir", models_dir, "--engine", "openvino", "--otlp-endpoint", url) as server:
            with httpx.Client() as http:
                slowest = max(_seconds_of_a_call(http, server) for _ in range(100))
                _wait_for(server, "traces do not reach")
                slowest = max(slowest, *(_seconds_of_a_call(http, server) for _ in range(100)))
            began = time.monotonic()
            server.process.terminate()
            assert server.process.wait(timeout=30) == 0
            seconds = time.monotonic() - began
        assert slowest < 1
        assert seconds < 5
        assert sum("traces" in line for line in server.log) == 1, server.log


def _seconds_of_a_call(http: httpx.Client, server: Server) -> float:
    began = time.monotonic()
    http.post(f"{server.http_url}/api/v1/classify", content=IMAGE).raise_for_status()
    return time.monotonic() - began


def _wait_for(server: Server, words: str) -> None:
    give_up = time.monotonic() + 20
    while not any(words in line for line in server.log):
        assert time.monotonic() < give_up, server.log
        time.sleep(0.1)
