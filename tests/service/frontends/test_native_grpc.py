"""The native gRPC service: messages, statuses, deadlines, limits."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from grpc_health.v1 import health
from prometheus_client import CollectorRegistry

from cnnsvc.errors import Fault, ImageError, OverloadedError
from cnnsvc.model import ModelOptions
from cnnsvc.pb import classifier_pb2 as pb
from cnnsvc.pb import classifier_pb2_grpc as pb_grpc
from cnnsvc.retry_info import retry_after_seconds
from service.frontends.grpc_calls import GrpcCalls
from service.frontends.grpc_server import bind_grpc, build_grpc_server
from service.frontends.native_grpc import NativeClassifier
from service.loader import Loader
from service.logs import RequestIdFilter
from service.metrics import Metrics
from service.predictor import Predictor, PredictorLimits
from service.registry import Refusal, Registry
from tests.bundles import CLASS_NAMES, threshold_between, write_bundle
from tests.encoded import encode
from tests.fakes import FakePredictor
from tests.service.frontends.http_door import until

BODY_LIMIT_BYTES = 200_000


class Door:
    def __init__(self, predictor: Predictor | None = None) -> None:
        self.prometheus = CollectorRegistry()
        metrics = Metrics(self.prometheus, version="0")
        self.registry = Registry(metrics)
        self.loader = Loader(self.registry, metrics, ModelOptions("openvino"))
        self.predictor = predictor or Predictor(self.registry, PredictorLimits(8, 4, 10_000))
        self.calls = GrpcCalls(metrics)
        classifier = NativeClassifier(self.predictor, self.registry, metrics, self.calls)
        self.server = build_grpc_server(
            [classifier.service()], health.aio.HealthServicer(), body_limit_bytes=BODY_LIMIT_BYTES
        )
        self.port = bind_grpc(self.server, "127.0.0.1", 0)
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.port}")
        self.stub = pb_grpc.ClassifierStub(self.channel)

    def num_calls(self, method: str, code: str, *, answered: bool) -> float | None:
        model, version = ("flowers", "1") if answered else ("", "")
        labels = {"protocol": "grpc", "method": method, "model": model, "version": version, "code": code}
        return self.prometheus.get_sample_value("cnnsvc_request_duration_seconds_count", labels)


@pytest_asyncio.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with opened(Door()) as door:
        await door.loader.load_bundle(write_bundle(tmp_path))
        yield door


@pytest_asyncio.fixture
async def stuck_door() -> AsyncIterator[Door]:
    """It never answers a classification."""
    async with opened(Door(FakePredictor(is_stuck=True))) as door:
        yield door


@contextlib.asynccontextmanager
async def opened(door: Door) -> AsyncIterator[Door]:
    await door.server.start()
    yield door
    await door.channel.close()
    await door.server.stop(None)
    door.registry.close()


async def test_one_and_many_images(door: Door) -> None:
    """Each image has its result, in order, with the model that answered and the time it took."""
    images = [encode("PNG", seed=seed) for seed in range(4)]
    together = await door.stub.Classify(pb.ClassifyRequest(images=images))
    alone = [await door.stub.Classify(pb.ClassifyRequest(images=[image])) for image in images]
    assert list(together.results) == [answer.results[0] for answer in alone]
    assert (together.model, together.version) == ("flowers", 1)
    assert together.timings.total_ms > together.timings.inference_ms > 0
    assert {scored.name for scored in together.results[0].classes} == set(CLASS_NAMES)
    assert door.num_calls("classify", "ok", answered=True) == 5


async def test_images_of_no_class_are_told(tmp_path: Path) -> None:
    """Calls and streams say of each image whether it is rejected, and the model names its threshold."""
    images = [encode("PNG", seed=seed) for seed in range(4)]
    threshold = threshold_between(write_bundle(tmp_path), images)
    async with opened(Door()) as door:
        await door.loader.load_bundle(write_bundle(tmp_path, threshold=threshold))
        assert (await door.stub.GetModel(pb.GetModelRequest())).threshold == threshold
        results = (await door.stub.Classify(pb.ClassifyRequest(images=images))).results
        rejected = [result.rejected for result in results]
        assert rejected == [result.classes[0].score < threshold for result in results]
        assert set(rejected) == {False, True}
        requests = [pb.ClassifyStreamRequest(id=str(place), image=image) for place, image in enumerate(images)]
        answers = {answer.id: answer.result async for answer in door.stub.ClassifyStream(requests)}
        assert [answers[str(place)].rejected for place in range(4)] == rejected


async def test_models_are_described(door: Door) -> None:
    """The list holds what GetModel answers, by name and version or by neither."""
    (listed,) = (await door.stub.ListModels(pb.ListModelsRequest())).models
    assert listed == await door.stub.GetModel(pb.GetModelRequest())
    assert listed == await door.stub.GetModel(pb.GetModelRequest(model="flowers", version=1))
    assert list(listed.class_names) == CLASS_NAMES
    assert (listed.image_height, listed.image_width, listed.image_channels) == (24, 32, 3)
    assert (listed.engine, listed.artifact, listed.is_default) == ("openvino", "model.onnx", True)
    assert not listed.HasField("threshold")


@pytest.mark.parametrize(
    ("request_", "status", "kind", "details"),
    [
        (pb.ClassifyRequest(), "INVALID_ARGUMENT", "invalid", "has no image"),
        (pb.ClassifyRequest(images=[b"hello"]), "INVALID_ARGUMENT", "invalid", "not an image: 5 bytes"),
        (pb.ClassifyRequest(images=[b""]), "INVALID_ARGUMENT", "invalid", "empty"),
        (pb.ClassifyRequest(images=[b"x"], model="roses"), "NOT_FOUND", "not_found", "served are flowers"),
        (pb.ClassifyRequest(images=[b"x"], version=-1), "NOT_FOUND", "not_found", "version -1"),
        (pb.ClassifyRequest(images=[b"x"], top_k=0), "INVALID_ARGUMENT", "invalid", "top_k is 0; allowed are 1 to 3"),
        (pb.ClassifyRequest(images=[b"x"] * 5), "INVALID_ARGUMENT", "too_large", "has 5 images; allowed are 4"),
    ],
)
async def test_refusals(door: Door, request_: pb.ClassifyRequest, status: str, kind: str, details: str) -> None:
    """A wrong call gets its status, a message that says what came and what is allowed, and is counted by kind."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await door.stub.Classify(request_)
    assert refused.value.code().name == status
    assert details in str(refused.value.details())
    assert door.num_calls("classify", kind, answered=False) == 1


async def test_overload_says_when_to_come_again() -> None:
    """RESOURCE_EXHAUSTED carries google.rpc.RetryInfo in its status details, beside our kind."""
    error = OverloadedError("much waits", retry_after_seconds=0.25)
    async with opened(Door(FakePredictor(error))) as door:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await door.stub.Classify(pb.ClassifyRequest(images=[b"x"]))
        assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        trailing = refused.value.trailing_metadata()
        assert dict(trailing)["cnnsvc-error-kind"] == "overloaded"
        assert retry_after_seconds(trailing) == 0.25
        assert door.num_calls("classify", "overloaded", answered=False) == 1


async def test_refused_calls_leave_nothing_for_the_collector(door: Door) -> None:
    """A refused call's request is freed with the call: nothing keeps it in a cycle until the collector's full run."""

    def num_errors() -> int:
        return sum(isinstance(found, ImageError) for found in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = num_errors()
        for _ in range(10):
            with pytest.raises(grpc.aio.AioRpcError):
                await door.stub.Classify(pb.ClassifyRequest(images=[b"hello"]))
        await asyncio.sleep(0.1)
        assert num_errors() <= before
    finally:
        gc.enable()


async def test_a_message_over_the_limit_is_refused(door: Door) -> None:
    """gRPC itself refuses it as RESOURCE_EXHAUSTED with both sizes, and the next call is served."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await door.stub.Classify(pb.ClassifyRequest(images=[b"x" * BODY_LIMIT_BYTES]))
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert str(BODY_LIMIT_BYTES) in str(refused.value.details())
    assert await door.stub.Classify(pb.ClassifyRequest(images=[encode("PNG")]))


async def test_a_small_message_that_unfolds_beyond_the_limit_is_refused(door: Door) -> None:
    """What counts of a compressed one is its size when it is unfolded, and the next call is served."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await door.stub.Classify(
            pb.ClassifyRequest(images=[bytes(100 * BODY_LIMIT_BYTES)]), compression=grpc.Compression.Gzip
        )
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "Decompressed" in str(refused.value.details())
    assert await door.stub.Classify(pb.ClassifyRequest(images=[encode("PNG")]))


async def test_an_expired_deadline_costs_nothing(door: Door) -> None:
    """A call whose deadline passes is DEADLINE_EXCEEDED and leaves nothing behind."""
    with pytest.raises(grpc.aio.AioRpcError) as late:
        await door.stub.Classify(pb.ClassifyRequest(images=[encode("PNG")] * 4), timeout=1e-6)
    assert late.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert len((await door.stub.Classify(pb.ClassifyRequest(images=[encode("PNG")] * 4))).results) == 4


@pytest.mark.parametrize("timeout_seconds", [0.05, 0.3])
async def test_a_call_that_grpc_ends_at_its_deadline_is_counted_late(
    stuck_door: Door, timeout_seconds: float, caplog: pytest.LogCaptureFixture
) -> None:
    """Where gRPC is sooner than our own clock, the call is still late and not cancelled, and no fault of ours."""
    with pytest.raises(grpc.aio.AioRpcError) as late:
        await stuck_door.stub.Classify(pb.ClassifyRequest(images=[b"x"]), timeout=timeout_seconds)
    assert late.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    await until(lambda: stuck_door.num_calls("classify", "late", answered=False) == 1)
    assert stuck_door.num_calls("classify", "cancelled", answered=False) is None
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_call_that_its_client_ends_is_counted_cancelled(stuck_door: Door) -> None:
    """A deadline that is still far away makes no cancelled call late."""
    call = stuck_door.stub.Classify(pb.ClassifyRequest(images=[b"x"]), timeout=30)
    assert isinstance(stuck_door.predictor, FakePredictor)
    asking = asyncio.ensure_future(call)
    await until(stuck_door.predictor.is_asked.is_set)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await until(lambda: stuck_door.num_calls("classify", "cancelled", answered=False) == 1)


@pytest.mark.parametrize("method", ["Classify", "GetModel", "ListModels"])
@pytest.mark.parametrize("request_bytes", [b"\xff\xff\xff", b"\x0a\x05abc"])
async def test_bytes_that_are_no_message(door: Door, method: str, request_bytes: bytes) -> None:
    """They are the caller's fault with the size and the message's name, and counted as such."""
    call: Any = door.channel.unary_unary(f"/cnnsvc.v1.Classifier/{method}")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call(request_bytes)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert f"{len(request_bytes)} bytes came that are not a message cnnsvc.v1." in str(refused.value.details())
    counted = {"Classify": "classify", "GetModel": "get_model", "ListModels": "list_models"}[method]
    assert door.num_calls(counted, "invalid", answered=False) == 1


async def test_what_nobody_expected_is_not_shown(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected exception answers fixed text with a request id; the traceback is in the log under that id."""
    door.registry.get("", 0).batcher.submit = None  # type: ignore[assignment]  # fails in a way no caller can cause
    with pytest.raises(grpc.aio.AioRpcError) as failed, caplog.filtering(RequestIdFilter()):
        await door.stub.Classify(pb.ClassifyRequest(images=[encode("PNG")]))
    assert failed.value.code() == grpc.StatusCode.INTERNAL
    text, _, request_id = str(failed.value.details()).rpartition(" ")
    assert text == "internal error; request id"
    (record,) = (record for record in caplog.records if record.name == "cnnsvc.grpc")
    assert vars(record)["request_id"] == request_id
    assert "Traceback" in caplog.text
    assert door.num_calls("classify", "internal", answered=False) == 1


@pytest.mark.parametrize(
    ("given", "is_kept"), [("call-1.A_b", True), ("x" * 128, True), ("x" * 129, False), ("a b", False), ("", False)]
)
@pytest.mark.parametrize("images", [[encode("PNG")], []])
async def test_request_ids_go_both_ways(door: Door, images: list[bytes], given: str, is_kept: bool) -> None:
    """The caller's x-request-id comes back with answers and with errors, a new one where it is unsafe to repeat."""
    call = door.stub.Classify(pb.ClassifyRequest(images=images), metadata=(("x-request-id", given),))
    metadata = {str(key): str(value) for key, value in await call.trailing_metadata()}
    assert (metadata["x-request-id"] == given) == is_kept
    assert len(metadata["x-request-id"]) == (len(given) if is_kept else 32)


@pytest.mark.parametrize(
    ("request_", "kind"),
    [
        (pb.ClassifyRequest(images=[b"hello"]), "invalid"),
        (pb.ClassifyRequest(images=[b"x"] * 5), "too_large"),
        (pb.ClassifyRequest(images=[b"x"], model="roses"), "not_found"),
    ],
)
async def test_errors_name_their_kind(door: Door, request_: pb.ClassifyRequest, kind: str) -> None:
    """Trailing metadata tells kinds apart that share a status."""
    metadata = dict(await door.stub.Classify(request_).trailing_metadata())
    assert metadata["cnnsvc-error-kind"] == kind


async def test_labels(door: Door) -> None:
    """A label stands for its version in every call; one that is not there, and one beside a version, are refused."""
    door.registry.route("flowers", 1, {"stable": 1}, {})
    classified = await door.stub.Classify(pb.ClassifyRequest(images=[encode("PNG")], label="stable"))
    assert classified.version == 1
    assert (await door.stub.GetModel(pb.GetModelRequest(label="stable"))).labels == ["stable"]
    for message, status in (
        (pb.ClassifyRequest(images=[encode("PNG")], label="canary"), grpc.StatusCode.NOT_FOUND),
        (pb.ClassifyRequest(images=[encode("PNG")], label="stable", version=1), grpc.StatusCode.INVALID_ARGUMENT),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await door.stub.Classify(message)
        assert refused.value.code() is status


async def test_refused_versions_are_listed(door: Door) -> None:
    """With the fault in one word and the reason in full."""
    door.registry.refuse(Refusal("flowers", 2, Fault.HASH, "a file is another one"))
    (refused,) = (await door.stub.ListModels(pb.ListModelsRequest())).refused
    assert (refused.name, refused.version, refused.fault) == ("flowers", 2, "hash")
    assert refused.reason == "a file is another one"
