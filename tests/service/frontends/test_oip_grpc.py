"""inference.GRPCInferenceService: messages, statuses, streams."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import pytest_asyncio
from grpc_health.v1 import health
from prometheus_client import CollectorRegistry

from cnnsvc.model import ModelOptions
from cnnsvc.pb import classifier_pb2, oip_pb2
from cnnsvc.pb import oip_pb2 as pb
from cnnsvc.pixels import decode
from service.admission import Admission
from service.frontends.grpc_calls import GrpcCalls
from service.frontends.grpc_server import bind_grpc, build_grpc_server
from service.frontends.native_grpc import NativeClassifier
from service.frontends.native_stream import StreamLimits
from service.frontends.oip_elements import join_elements, split_elements
from service.frontends.oip_grpc import OpenInference
from service.loader import Loader
from service.metrics import Metrics
from service.predictor import Answer, Predictor, PredictorLimits, Query
from service.registry import Registry
from tests.bundles import CLASS_NAMES, SHAPE, threshold_between, write_bundle
from tests.encoded import encode
from tests.fakes import FakePredictor
from tests.service.frontends.oip_door import answer_of

BODY_LIMIT_BYTES = 200_000
IMAGES = [encode("PNG", np.full((24, 32, 3), value, np.uint8)) for value in (0, 1, 2)]
PIXELS = np.stack([decode(image, SHAPE.height, SHAPE.width, SHAPE.channels) for image in IMAGES])

Input = pb.ModelInferRequest.InferInputTensor
Output = pb.ModelInferRequest.InferRequestedOutputTensor


class Door:
    def __init__(self, predictor: Predictor | None = None, *, window: int = 4) -> None:
        self.prometheus = CollectorRegistry()
        metrics = Metrics(self.prometheus, version="0")
        self.registry = Registry(metrics)
        self.loader = Loader(self.registry, metrics, ModelOptions("openvino"))
        self.predictor = predictor or Predictor(self.registry, PredictorLimits(8, 4, 10_000))
        self.calls = GrpcCalls(metrics)
        limits = StreamLimits(window, BODY_LIMIT_BYTES)
        own = NativeClassifier(self.predictor, self.registry, metrics, self.calls, limits)
        dialect = OpenInference(
            self.predictor, self.registry, metrics, self.calls, None, max_images=4, stream_limits=limits
        )
        self.server = build_grpc_server(
            [own.service(), dialect.service()], health.aio.HealthServicer(), body_limit_bytes=BODY_LIMIT_BYTES
        )
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{bind_grpc(self.server, '127.0.0.1', 0)}")

    async def call(self, method: str, request: Any = b"", **options: Any) -> Any:
        """The answer as a message; a request may be bytes."""
        name = "ModelStreamInferResponse" if method == "ModelStreamInfer" else f"{method}Response"
        call: Any = self.channel.unary_unary(
            f"/inference.GRPCInferenceService/{method}",
            request_serializer=lambda given: given if isinstance(given, bytes) else given.SerializeToString(),
            response_deserializer=getattr(oip_pb2, name).FromString,
        )
        return await call(request, **options)

    def stream(self) -> Any:
        call: Any = self.channel.stream_stream(
            "/inference.GRPCInferenceService/ModelStreamInfer",
            request_serializer=pb.ModelInferRequest.SerializeToString,
            response_deserializer=pb.ModelStreamInferResponse.FromString,
        )
        return call()

    async def own_scores(self) -> Any:
        """Of the images by our own API, float32 in the order of the classes."""
        call: Any = self.channel.unary_unary(
            "/cnnsvc.v1.Classifier/Classify",
            request_serializer=classifier_pb2.ClassifyRequest.SerializeToString,
            response_deserializer=classifier_pb2.ClassifyResponse.FromString,
        )
        answer = await call(classifier_pb2.ClassifyRequest(images=IMAGES, top_k=3))
        rows = [{one.name: one.score for one in result.classes} for result in answer.results]
        return np.array([[row[name] for name in CLASS_NAMES] for row in rows], np.float32)

    def num_calls(self, method: str, code: str, *, answered: bool) -> float | None:
        model, version = ("flowers", "1") if answered else ("", "")
        labels = {"protocol": "grpc", "method": method, "model": model, "version": version, "code": code}
        return self.prometheus.get_sample_value("cnnsvc_request_duration_seconds_count", labels)


@contextlib.asynccontextmanager
async def opened(door: Door) -> AsyncIterator[Door]:
    await door.server.start()
    try:
        yield door
    finally:
        await door.channel.close()
        await door.server.stop(None)
        door.registry.close()


@pytest_asyncio.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with opened(Door()) as door:
        await door.loader.load_bundle(write_bundle(tmp_path))
        door.registry.set_loaded()
        yield door


def encoded(images: list[bytes] = IMAGES, **fields: Any) -> pb.ModelInferRequest:
    return pb.ModelInferRequest(
        model_name="flowers",
        inputs=[Input(name="image", datatype="BYTES", shape=[len(images)])],
        raw_input_contents=[join_elements(images)],
        **fields,
    )


def typed(datatype: str, shape: list[int], **contents: Any) -> pb.ModelInferRequest:
    tensor = Input(name="image", datatype=datatype, shape=shape, contents=pb.InferTensorContents(**contents))
    return pb.ModelInferRequest(model_name="flowers", inputs=[tensor])


async def test_raw_tensors(door: Door) -> None:
    """Encoded, UINT8 and FP32: our own scores to the last digit, raw as they came, with id, model and version."""
    expected = await door.own_scores()
    requests = [encoded(id="mine")]
    for datatype, values in (("UINT8", PIXELS), ("FP32", PIXELS.astype("<f4"))):
        tensor = Input(name="image", datatype=datatype, shape=values.shape)
        raw = values.tobytes()
        requests.append(
            pb.ModelInferRequest(model_name="flowers", id="mine", inputs=[tensor], raw_input_contents=[raw])
        )
    for request in requests:
        answer = await door.call("ModelInfer", request)
        assert (answer.model_name, answer.model_version, answer.id) == ("flowers", "1", "mine")
        (output,) = answer.outputs
        assert (output.name, output.datatype, list(output.shape)) == ("probabilities", "FP32", [3, 3])
        assert np.array_equal(np.frombuffer(answer.raw_output_contents[0], "<f4").reshape(3, 3), expected)
        assert not output.HasField("contents")
    assert door.num_calls("oip_infer", "ok", answered=True) == 3


async def test_typed_contents(door: Door) -> None:
    """Answered as typed contents."""
    expected = await door.own_scores()
    shape = list(PIXELS.shape)
    for request in (
        typed("UINT8", shape, uint_contents=PIXELS.ravel().tolist()),
        typed("FP32", shape, fp32_contents=PIXELS.ravel().tolist()),
        typed("BYTES", [3, 1], bytes_contents=IMAGES),
    ):
        answer = await door.call("ModelInfer", request)
        assert np.array_equal(np.array(answer.outputs[0].contents.fp32_contents, np.float32), expected.ravel())
        assert not answer.raw_output_contents


async def test_none_of_the_classes_where_that_is_asked_for(tmp_path: Path) -> None:
    """The output `rejected` comes where it is named, raw or typed as the request was, and no description has it."""
    threshold = threshold_between(write_bundle(tmp_path), IMAGES)
    async with opened(Door()) as door:
        await door.loader.load_bundle(write_bundle(tmp_path, threshold=threshold))
        expected = (await door.own_scores()).max(axis=1) < threshold
        assert set(expected.tolist()) == {False, True}
        raw = pb.ModelInferRequest(
            model_name="flowers",
            inputs=[Input(name="image", datatype="BYTES", shape=[3])],
            outputs=[Output(name="probabilities"), Output(name="rejected")],
            raw_input_contents=[join_elements(IMAGES)],
        )
        answer = await door.call("ModelInfer", raw)
        described = [(one.name, one.datatype, list(one.shape)) for one in answer.outputs]
        assert described == [("probabilities", "FP32", [3, 3]), ("rejected", "BOOL", [3])]
        assert np.array_equal(np.frombuffer(answer.raw_output_contents[1], np.bool_), expected)
        typed = pb.ModelInferRequest(model_name="flowers", outputs=[Output(name="rejected")])
        typed.inputs.add(name="image", datatype="BYTES", shape=[3]).contents.bytes_contents.extend(IMAGES)
        (only,) = (await door.call("ModelInfer", typed)).outputs
        assert list(only.contents.bool_contents) == expected.tolist()
        metadata = await door.call("ModelMetadata", pb.ModelMetadataRequest(name="flowers"))
        assert [one.name for one in metadata.outputs] == ["probabilities"]


async def test_classification(door: Door) -> None:
    """As BYTES, raw or typed as the request was."""
    wanted = [Output(name="probabilities", parameters={"classification": pb.InferParameter(int64_param=2)})]
    raw = await door.call("ModelInfer", encoded(outputs=wanted))
    assert (raw.outputs[0].datatype, list(raw.outputs[0].shape)) == ("BYTES", [3, 2])
    request = typed("BYTES", [3], bytes_contents=IMAGES)
    request.outputs.extend(wanted)
    contents = (await door.call("ModelInfer", request)).outputs[0].contents.bytes_contents
    assert split_elements(raw.raw_output_contents[0], 6) == list(contents)
    assert {text.split(b":")[2].decode() for text in contents} <= set(CLASS_NAMES)


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        (pb.ModelInferRequest(), "INVALID_ARGUMENT", "0 inputs came"),
        (pb.ModelInferRequest(inputs=[Input()] * 2), "INVALID_ARGUMENT", "2 inputs came"),
        (
            # Counted before any of them is looked into.
            pb.ModelInferRequest(
                inputs=[Input(parameters={"shared_memory_region": pb.InferParameter(string_param="a")})] * 2
            ),
            "INVALID_ARGUMENT",
            "2 inputs came; expected one",
        ),
        (
            encoded(parameters={f"{place}": pb.InferParameter(int64_param=1) for place in range(101)}),
            "INVALID_ARGUMENT",
            "101 parameters came; allowed are 100",
        ),
        (encoded([b"no image"]), "INVALID_ARGUMENT", "not an image"),
        (encoded(IMAGES * 2), "INVALID_ARGUMENT", "has 6 images; allowed are 4"),
        (encoded(model_version="7"), "NOT_FOUND", "version 7"),
        (encoded(model_version="canary"), "NOT_FOUND", "no label 'canary'"),
        (encoded(model_version="0"), "INVALID_ARGUMENT", "the version is '0'"),
        (encoded(model_version="1.5"), "INVALID_ARGUMENT", "expected a whole number"),
        (encoded(outputs=[Output(name="logits")]), "INVALID_ARGUMENT", "'probabilities'"),
        (encoded(parameters={"timeout": pb.InferParameter(int64_param=1)}), "DEADLINE_EXCEEDED", "deadline"),
        (encoded(parameters={"timeout": pb.InferParameter(string_param="1")}), "INVALID_ARGUMENT", "microseconds"),
        (typed("UINT8", [1, 24, 32, 3], uint_contents=[256] * 2304), "INVALID_ARGUMENT", "0 to 255"),
        (typed("UINT8", [1, 24, 32, 3], uint_contents=[1] * 2303), "INVALID_ARGUMENT", "2303 numbers"),
        (typed("UINT8", [1, 24, 32, 3], fp32_contents=[1] * 2304), "INVALID_ARGUMENT", "0 numbers"),
        (typed("FP32", [1, 24, 32, 3], fp32_contents=[float("nan")] * 2304), "INVALID_ARGUMENT", "0 to 255"),
        (typed("FP64", [1], fp64_contents=[1]), "INVALID_ARGUMENT", "datatype 'FP64'"),
        (typed("UINT8", [-1, 24, 32, 3], uint_contents=[1]), "INVALID_ARGUMENT", "at least one image"),
        (typed("BYTES", [2], bytes_contents=[b"x"]), "INVALID_ARGUMENT", "1 elements came"),
        (
            pb.ModelInferRequest(
                inputs=[Input(name="image", datatype="BYTES", shape=[1])], raw_input_contents=[b"x"] * 2
            ),
            "INVALID_ARGUMENT",
            "2 raw_input_contents came for 1 inputs",
        ),
        (
            pb.ModelInferRequest(
                inputs=[Input(name="image", contents=pb.InferTensorContents())], raw_input_contents=[b"x"]
            ),
            "INVALID_ARGUMENT",
            "has contents, and raw_input_contents came too",
        ),
        (
            pb.ModelInferRequest(
                inputs=[Input(name="image", parameters={"shared_memory_region": pb.InferParameter(string_param="a")})]
            ),
            "INVALID_ARGUMENT",
            "shared memory",
        ),
    ],
)
async def test_refusals(door: Door, request_: pb.ModelInferRequest, status: str, words: str) -> None:
    """What came and what is allowed; and the next call is answered."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await door.call("ModelInfer", request_)
    assert (refused.value.code().name, words in str(refused.value.details())) == (status, True), refused.value.details()
    assert (await door.call("ModelInfer", encoded())).outputs


async def test_descriptions(door: Door) -> None:
    """Each method of the specification and of Triton's extensions answers."""
    assert (await door.call("ServerLive")).live
    assert (await door.call("ServerReady")).ready
    assert (await door.call("ModelReady", pb.ModelReadyRequest(name="flowers", version="1"))).ready
    assert (await door.call("ServerMetadata")).name == "cnnsvc"
    metadata = await door.call("ModelMetadata", pb.ModelMetadataRequest(name="flowers"))
    assert [(one.name, one.datatype, list(one.shape)) for one in metadata.inputs] == [
        ("image", "UINT8", [-1, 24, 32, 3])
    ]
    config = (await door.call("ModelConfig", pb.ModelConfigRequest(name="flowers"))).config
    assert (config.max_batch_size, config.input[0].format, config.backend) == (4, pb.ModelInput.FORMAT_NHWC, "openvino")
    index = await door.call("RepositoryIndex")
    assert [(one.name, one.version, one.state) for one in index.models] == [("flowers", "1", "READY")]
    door.registry.begin_stop()
    assert not (await door.call("ServerReady")).ready


async def test_statistics_count_what_was_answered(door: Door) -> None:
    """Calls, images and batches; failures beside them."""
    await door.call("ModelInfer", encoded())
    with pytest.raises(grpc.aio.AioRpcError):
        await door.call("ModelInfer", encoded([b"x"]))
    (found,) = (await door.call("ModelStatistics", pb.ModelStatisticsRequest(name="flowers"))).model_stats
    stats = found.inference_stats
    assert (stats.success.count, stats.fail.count, found.inference_count) == (1, 1, 3)
    assert stats.success.ns >= stats.compute_infer.ns > 0
    assert sum(one.batch_size * one.compute_infer.count for one in found.batch_stats) >= 3
    assert found.execution_count == sum(one.compute_infer.count for one in found.batch_stats)
    assert found.last_inference > 1_700_000_000_000


@pytest.mark.parametrize("method", ["ModelReady", "ModelMetadata", "ModelConfig", "ModelStatistics"])
async def test_unknown_models(door: Door, method: str) -> None:
    """NOT_FOUND, with those that are served."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await door.call(method, getattr(pb, f"{method}Request")(name="roses"))
    assert (refused.value.code(), "flowers" in str(refused.value.details())) == (grpc.StatusCode.NOT_FOUND, True)


@pytest.mark.parametrize("method", ["RepositoryModelLoad", "RepositoryModelUnload"])
async def test_nothing_is_loaded_without_an_admin_api(door: Door, method: str) -> None:
    """It says why."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await door.call(method, getattr(pb, f"{method}Request")(model_name="flowers"))
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert "admin API" in str(refused.value.details())


@pytest.mark.parametrize("method", ["ServerLive", "ModelInfer", "ModelMetadata", "RepositoryIndex"])
async def test_bytes_that_are_no_message(door: Door, method: str) -> None:
    """They are the caller's fault."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await door.call(method, b"\xff\xff\xff")
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_stream_answers_in_the_order_of_its_requests(door: Door) -> None:
    """Errors among them, with their ids; more may be sent than are answered at once."""
    call = door.stream()
    sent = [[IMAGES[0]], [b"no image"], IMAGES, [b""], *([[IMAGES[1]]] * 8)]
    for number, images in enumerate(sent):
        await call.write(encoded(images, id=str(number)))
    await call.done_writing()
    answers = [answer async for answer in call]
    assert [answer.infer_response.id for answer in answers] == [str(number) for number in range(len(sent))]
    assert [number for number, answer in enumerate(answers) if answer.error_message] == [1, 3]
    assert list(answers[2].infer_response.outputs[0].shape) == [3, 3]
    assert door.num_calls("oip_stream_infer", "ok", answered=True) == 10
    assert door.num_calls("oip_stream_infer", "invalid", answered=False) == 2


async def test_a_stream_outlives_the_version_that_it_began_with(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pixels that wait for their turn while their version goes are answered by the one that follows it."""
    wait_and_classify = door.predictor.classify_when_room

    async def going(query: Query) -> Answer:
        if 1 in door.registry.versions("flowers"):
            door.registry.route("flowers", 2, {}, {})
            door.loader.end(door.registry.take("flowers", 1))
        return await wait_and_classify(query)

    await door.loader.load_bundle(write_bundle(tmp_path, seed=1))
    monkeypatch.setattr(door.predictor, "classify_when_room", going)
    call = door.stream()
    await call.write(typed("UINT8", [3, 24, 32, 3], uint_contents=PIXELS.ravel().tolist()))
    await call.done_writing()
    answer = await call.read()
    assert (answer.error_message, answer.infer_response.model_version) == ("", "2")
    await door.loader.close()


async def test_a_stream_holds_no_more_than_its_window() -> None:
    """What is not answered is not read on."""
    predictor = FakePredictor(is_stuck=True)
    async with opened(Door(predictor, window=2)) as door:
        call = door.stream()
        for number in range(4):
            await call.write(encoded([b"x"], id=str(number)))
        await asyncio.sleep(0.3)
        assert len(predictor.queries) == 2
        call.cancel()
        await asyncio.wait_for(predictor.is_cancelled.wait(), 5)


async def test_a_stream_ends_in_order_when_the_server_stops() -> None:
    """What was read is answered, then the stream ends as UNAVAILABLE, and what was not can be sent elsewhere."""
    async with opened(Door(FakePredictor(answer_of(1)))) as door:
        call = door.stream()
        await call.write(encoded([b"x"], id="1"))
        assert (await call.read()).infer_response.id == "1"
        door.calls.stop_streams()
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await call.read()
        assert ended.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_a_streamed_call_that_can_never_be_admitted(tmp_path: Path) -> None:
    """It is refused instead of waiting for room that cannot come."""
    door = Door()
    door.predictor.admission = Admission(limit_images=2, limit_bytes=BODY_LIMIT_BYTES)
    async with opened(door):
        await door.loader.load_bundle(write_bundle(tmp_path))
        call = door.stream()
        await call.write(encoded(id="1"))
        assert "queue_limit" in (await asyncio.wait_for(call.read(), 10)).error_message
        call.cancel()
