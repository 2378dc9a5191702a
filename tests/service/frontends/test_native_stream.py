"""ClassifyStream: answers out of order, a window that holds, deadlines, cancellation and the end of the server."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import pytest_asyncio
from grpc_health.v1 import health
from prometheus_client import CollectorRegistry

from cnnsvc.bundle import Bundle
from cnnsvc.engines.base import Images, Scores
from cnnsvc.engines.choice import Choice
from cnnsvc.errors import EngineError
from cnnsvc.model import Model, ModelOptions
from cnnsvc.pb import classifier_pb2 as pb
from cnnsvc.pb import classifier_pb2_grpc as pb_grpc
from service.batcher import Batcher
from service.frontends.grpc_calls import GrpcCalls
from service.frontends.grpc_server import bind_grpc, build_grpc_server
from service.frontends.native_grpc import NativeClassifier
from service.frontends.native_stream import StreamLimits
from service.metrics import Metrics
from service.predictor import Predictor, PredictorLimits
from service.registry import ServedModel
from tests.bundles import manifest_of
from tests.encoded import encode
from tests.fakes import FakeRegistry, FunctionEngine
from tests.service.frontends.http_door import until

BODY_LIMIT_BYTES = 1_000_000
WINDOW = 6
NUM_PATIENT = 4
QUEUE_LIMIT = 8


def plain(value: int) -> bytes:
    """A PNG of one grey value."""
    return encode("PNG", np.full((24, 32, 3), value, np.uint8))


FAST, SLOW, BROKEN = plain(0), plain(255), plain(128)


class Door:
    """The gRPC front-end over an engine that holds slow images until the gate opens, and fails on broken ones."""

    def __init__(self, limits: StreamLimits) -> None:
        self.gate = threading.Event()
        self.prometheus = CollectorRegistry()
        metrics = Metrics(self.prometheus, version="0")
        engine = FunctionEngine(self._run)
        engine.num_streams = 3
        manifest = manifest_of()
        model = Model(Bundle(Path("nowhere"), manifest), Choice(engine, 1, []), ModelOptions())
        self.batcher = Batcher(model.decode, engine)
        bound = metrics.add_model(manifest, [], lambda: 0)
        registry = FakeRegistry([ServedModel(model, self.batcher, bound)])
        self.predictor = Predictor(registry, PredictorLimits(QUEUE_LIMIT, QUEUE_LIMIT, 10_000, NUM_PATIENT))
        self.calls = GrpcCalls(metrics)
        classifier = NativeClassifier(self.predictor, registry, metrics, self.calls, limits)
        self.server = build_grpc_server(
            [classifier.service()], health.aio.HealthServicer(), body_limit_bytes=BODY_LIMIT_BYTES
        )
        self.port = bind_grpc(self.server, "127.0.0.1", 0)
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.port}")
        self.stub = pb_grpc.ClassifierStub(self.channel)

    def _run(self, images_nhwc: Images) -> Scores:
        if images_nhwc.max() == 255:
            self.gate.wait(20)
        if images_nhwc.max() == 128:
            raise EngineError("secret words")
        return np.tile(np.array([0.5, 0.25, 0.25], np.float32), (len(images_nhwc), 1))

    @property
    def num_in_flight(self) -> float:
        return self.prometheus.get_sample_value("cnnsvc_requests_in_flight", {"protocol": "grpc"}) or 0.0

    def num_images(self, code: str) -> float:
        model, version = ("flowers", "1") if code == "ok" else ("", "")
        labels = {
            "protocol": "grpc", "method": "classify_stream", "model": model, "version": version, "code": code,
        }  # fmt: skip
        return self.prometheus.get_sample_value("cnnsvc_request_duration_seconds_count", labels) or 0.0

    async def settled(self) -> float:
        """Images in flight once their number has not changed for a fifth of a second."""
        last, since = -1.0, 0
        while since < 20:
            await asyncio.sleep(0.01)
            since = since + 1 if self.num_in_flight == last else 0
            last = self.num_in_flight
        return last

    async def until_in_flight(self, number: int) -> None:
        """Waits until so many images and calls are in flight, five seconds at most."""
        await until(lambda: self.num_in_flight == number)


async def opened(limits: StreamLimits) -> AsyncIterator[Door]:
    door = Door(limits)
    await door.server.start()
    yield door
    door.gate.set()
    await door.channel.close()
    await door.server.stop(None)
    door.batcher.close()


@pytest_asyncio.fixture
async def door() -> AsyncIterator[Door]:
    async for door in opened(StreamLimits(num_images=WINDOW, num_bytes=BODY_LIMIT_BYTES)):
        yield door


@pytest_asyncio.fixture
async def narrow_door() -> AsyncIterator[Door]:
    """Its window is as many bytes as two of the images have, and a little."""
    async for door in opened(StreamLimits(num_images=WINDOW, num_bytes=2 * len(SLOW) + 1)):
        yield door


def request(number: object, image: bytes, **fields: Any) -> pb.ClassifyStreamRequest:
    return pb.ClassifyStreamRequest(id=str(number), image=image, model="flowers", **fields)


async def send(call: Any, requests: Iterable[pb.ClassifyStreamRequest]) -> None:
    for each in requests:
        await call.write(each)
    await call.done_writing()


async def read(call: Any, number: int) -> list[pb.ClassifyStreamResponse]:
    return [await call.read() for _ in range(number)]


async def status_of(call: Any) -> grpc.StatusCode:
    """The status that the call ends with, five seconds at most."""
    async with asyncio.timeout(5):
        return grpc.StatusCode(await call.code())


async def test_every_image_is_answered_by_its_id(door: Door) -> None:
    """One answer an image with the caller's id; a bad image, model or setting is an answer with its kind; then OK."""
    requests = [
        request("a", FAST, top_k=2),
        request("bad", b"hello"),
        request("empty", b""),
        request("", FAST),
        pb.ClassifyStreamRequest(id="lost", image=FAST, model="roses"),
        request("many", FAST, top_k=4),
        request("soon", FAST, timeout_ms=0),
        request("a", FAST),
    ]
    call = door.stub.ClassifyStream(iter(requests))
    answers = [answer async for answer in call]
    assert await status_of(call) is grpc.StatusCode.OK
    failed = {answer.id: (answer.error.kind, answer.error.message) for answer in answers if answer.HasField("error")}
    assert {name: kind for name, (kind, _) in failed.items()} == {
        "bad": "invalid", "empty": "invalid", "lost": "not_found", "many": "invalid", "soon": "invalid",
    }  # fmt: skip
    assert "not an image: 5 bytes" in failed["bad"][1]
    assert failed["soon"][1] == "timeout_ms is 0; allowed are 1 and more"
    good = [answer for answer in answers if answer.HasField("result")]
    assert sorted((answer.id, len(answer.result.classes)) for answer in good) == [("", 3), ("a", 2), ("a", 3)]
    assert (good[0].result.model, good[0].result.version) == ("flowers", 1)
    assert good[0].result.timings.total_ms > 0
    assert (door.num_images("ok"), door.num_images("invalid"), door.num_images("not_found")) == (3, 4, 1)


async def test_answers_come_as_they_are_ready(door: Door) -> None:
    """What comes later and is ready sooner is answered sooner."""
    call = door.stub.ClassifyStream()
    await call.write(request("slow", SLOW))
    await door.until_in_flight(1)
    await call.write(request("fast", FAST))
    assert (await call.read()).id == "fast"
    door.gate.set()
    assert (await call.read()).id == "slow"


async def test_the_server_reads_no_further_than_its_window(door: Door) -> None:
    """With nothing answered, only the window's number of a hundred images is read; then all are answered."""
    call = door.stub.ClassifyStream()
    sending = asyncio.create_task(send(call, (request(number, SLOW) for number in range(100))))
    assert await door.settled() == WINDOW
    door.gate.set()
    answers = await read(call, 100)
    await sending
    assert {answer.id for answer in answers} == {str(number) for number in range(100)}
    assert await status_of(call) is grpc.StatusCode.OK


async def test_the_window_counts_bytes_too(narrow_door: Door) -> None:
    """Reading stops once the unanswered images have the limit of bytes, however few they are."""
    call = narrow_door.stub.ClassifyStream()
    sending = asyncio.create_task(send(call, [request("x", SLOW)] * 20))
    assert await narrow_door.settled() == 2
    narrow_door.gate.set()
    answers = await read(call, 20)
    await sending
    assert len(answers) == 20


@pytest.mark.slow
async def test_who_reads_no_answers_is_not_read(door: Door) -> None:
    """Answers that the client leaves lying stop the reading of its images: they count as unanswered."""
    call = door.stub.ClassifyStream()
    long_id = "x" * 400_000
    sending = asyncio.create_task(send(call, [request(long_id, FAST)] * 400))
    last, num_answered = -1.0, 0.0
    while num_answered != last:
        await asyncio.sleep(0.5)
        last, num_answered = num_answered, door.num_images("ok")
    assert num_answered < 100
    assert not sending.done()
    answers = await read(call, 400)
    await sending
    assert len(answers) == 400


async def test_streams_leave_the_queue_to_calls(door: Door) -> None:
    """Streams that would take all there is are admitted a few images only, and a call beside them is not refused."""
    calls = [door.stub.ClassifyStream() for _ in range(3)]
    sending = [asyncio.create_task(send(call, (request(0, SLOW) for _ in range(20)))) for call in calls]
    assert await door.settled() == 3 * WINDOW
    assert door.predictor.admission.num_images == NUM_PATIENT
    beside = asyncio.ensure_future(
        door.stub.Classify(pb.ClassifyRequest(images=[FAST] * (QUEUE_LIMIT - NUM_PATIENT), model="flowers"))
    )
    await door.until_in_flight(3 * WINDOW + 1)
    door.gate.set()
    assert len((await beside).results) == QUEUE_LIMIT - NUM_PATIENT
    for call in calls:
        assert all(answer.HasField("result") for answer in await read(call, 20))
    await asyncio.gather(*sending)


async def test_a_full_queue_makes_a_stream_wait(door: Door) -> None:
    """Where calls have filled the queue, another call is refused and a streamed image waits until it has its answer."""
    full = pb.ClassifyRequest(images=[SLOW] * QUEUE_LIMIT, model="flowers")
    filling = asyncio.ensure_future(door.stub.Classify(full))
    await door.until_in_flight(1)
    stream = door.stub.ClassifyStream(iter([request("patient", FAST)]))
    await door.until_in_flight(2)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await door.stub.Classify(pb.ClassifyRequest(images=[FAST], model="flowers"))
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    late = door.stub.ClassifyStream(iter([request("late", FAST, timeout_ms=50)]))
    assert "waited for its turn" in (await late.read()).error.message
    door.gate.set()
    assert (await stream.read()).HasField("result")
    assert len((await filling).results) == QUEUE_LIMIT


async def test_one_image_may_have_a_deadline(door: Door) -> None:
    """timeout_ms ends the wait for that image alone; the stream goes on."""
    call = door.stub.ClassifyStream()
    await call.write(request("late", SLOW, timeout_ms=50))
    answer = await call.read()
    assert (answer.id, answer.error.kind) == ("late", "late")
    await call.write(request("next", FAST))
    assert (await call.read()).HasField("result")
    assert door.num_images("late") == 1


async def test_a_deadline_of_the_stream_ends_it(door: Door) -> None:
    """Past it the call is DEADLINE_EXCEEDED and no image of it is in flight or admitted."""
    call = door.stub.ClassifyStream((request(0, SLOW) for _ in range(20)), timeout=0.3)
    assert await status_of(call) is grpc.StatusCode.DEADLINE_EXCEEDED
    await door.until_in_flight(0)
    assert door.predictor.admission.num_images == 0


@pytest.mark.parametrize("way", ["cancel", "close"])
async def test_a_client_that_goes_away_leaves_nothing(door: Door, way: str) -> None:
    """The images of a cancelled stream are given up at once, counted as cancelled, and none is admitted any more."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{door.port}") as channel:
        call = pb_grpc.ClassifierStub(channel).ClassifyStream()
        for _ in range(WINDOW):
            await call.write(request(0, SLOW))
        await door.until_in_flight(WINDOW)
        if way == "cancel":
            call.cancel()
        else:
            await channel.close()
        await door.until_in_flight(0)
    assert door.num_images("cancelled") == WINDOW
    assert door.predictor.admission.num_images == 0
    before = len(asyncio.all_tasks())
    door.gate.set()
    await asyncio.sleep(0.1)
    assert len(asyncio.all_tasks()) <= before


async def test_a_server_that_stops_answers_what_it_has_read(door: Door) -> None:
    """Images in flight are answered, then the stream is UNAVAILABLE; a new one is so at once; nothing hangs."""
    call = door.stub.ClassifyStream()
    for number in range(3):
        await call.write(request(number, SLOW))
    await door.until_in_flight(3)
    door.calls.stop_streams()
    stopping = asyncio.create_task(door.server.stop(10))
    door.gate.set()
    assert {answer.id for answer in await read(call, 3)} == {"0", "1", "2"}
    assert await status_of(call) is grpc.StatusCode.UNAVAILABLE
    assert dict(await call.trailing_metadata())["cnnsvc-error-kind"] == "not_ready"
    async with asyncio.timeout(5):
        await stopping


async def test_a_stream_in_the_last_moment_is_refused(door: Door) -> None:
    """A stream that comes when the server is stopping ends as UNAVAILABLE without an image read."""
    door.calls.stop_streams()

    def stream() -> None:
        """With the blocking client: grpc.aio's may never tell the status of a call that ends while it writes."""
        with grpc.insecure_channel(f"127.0.0.1:{door.port}") as channel:
            list(pb_grpc.ClassifierStub(channel).ClassifyStream(iter([request(0, SLOW)]), timeout=10))

    with pytest.raises(grpc.RpcError) as refused:
        await asyncio.to_thread(stream)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    await door.until_in_flight(0)


async def test_a_message_over_the_limit_ends_the_stream(door: Door) -> None:
    """gRPC refuses it for the whole call as RESOURCE_EXHAUSTED with both sizes, and nothing stays behind."""
    call = door.stub.ClassifyStream(iter([request(0, SLOW), request(1, b"x" * BODY_LIMIT_BYTES)]))
    assert await status_of(call) is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert str(BODY_LIMIT_BYTES) in await call.details()
    await door.until_in_flight(0)


async def test_bytes_that_are_no_message_end_the_stream(door: Door) -> None:
    """They carry no id to answer, so the call is INVALID_ARGUMENT once the images before them are answered."""
    method: Any = door.channel.stream_stream("/cnnsvc.v1.Classifier/ClassifyStream")
    call = method(iter([request(0, FAST).SerializeToString(), b"\xff\xff\xff"]))
    assert pb.ClassifyStreamResponse.FromString(await call.read()).HasField("result")
    assert await status_of(call) is grpc.StatusCode.INVALID_ARGUMENT
    assert "3 bytes came that are not a message" in await call.details()
    await door.until_in_flight(0)


async def test_what_nobody_expected_is_not_shown(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    """An engine's failure is an answer with fixed text and the stream's request id; the stream goes on."""
    requests = [request("broken", BROKEN), request("good", FAST)]
    call = door.stub.ClassifyStream(iter(requests), metadata=(("x-request-id", "call-7"),))
    answers = {answer.id: answer async for answer in call}
    assert answers["broken"].error.kind == "internal"
    assert answers["broken"].error.message == "internal error; request id call-7"
    assert answers["good"].HasField("result")
    assert "secret words" in caplog.text
    assert dict(await call.trailing_metadata())["x-request-id"] == "call-7"
