"""The spans of calls through the real rooms, as an exporter in memory gets them."""

import asyncio
import contextvars
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import CollectorRegistry

from cnnsvc.errors import CnnsvcError, EngineError, ImageError, LateError
from cnnsvc.model import ModelOptions
from cnnsvc.pb import oip_pb2
from service.call_record import CallRecord, Source
from service.frontends.rpc_names import FOREIGN_METHODS
from service.loader import Loader
from service.logs import RequestIdFilter
from service.metrics import Metrics
from service.predictor import Answer, Predictor, PredictorLimits, Query
from service.recording import Recording
from service.registry import Registry
from service.traces import Traces
from tests.bundles import write_bundle
from tests.encoded import encode
from tests.service.test_call_record import GrpcCall

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT_ID = "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE_ID}-{PARENT_ID}-01"
NOT_SAMPLED = f"00-{TRACE_ID}-{PARENT_ID}-00"
STAGES = ["admit", "queue", "decode", "inference", "rank"]


def http_source(**headers: str) -> dict[str, Any]:
    return {
        "method": "POST",
        "path": "/api/v1/classify",
        "scheme": "http",
        "client": ("192.0.2.7", 50000),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
    }


def grpc_source(**metadata: str) -> GrpcCall:
    return GrpcCall("ipv4:192.0.2.7:50000", list(metadata.items()))


class Room:
    """A predictor whose calls are traced."""

    def __init__(self, sample_percent: float = 100) -> None:
        self.exporter = InMemorySpanExporter()
        self.metrics = Metrics(CollectorRegistry(), version="0")
        self.registry = Registry(self.metrics)
        self.loader = Loader(self.registry, self.metrics, ModelOptions("openvino", num_streams=2, max_batch_size=2))
        self.predictor = Predictor(self.registry, PredictorLimits(8, 6, 10_000))
        resource = {"service.name": "cnnsvc", "service.version": "0"}
        processor = SimpleSpanProcessor(self.exporter)
        self.traces = Traces(processor, sample_percent=sample_percent, resource=resource)
        self.metrics.recorder = Recording(self.traces)

    async def call(self, source: Source, images: list[bytes], error: Exception | None = None) -> Answer:
        protocol = "http" if isinstance(source, dict) else "grpc"
        with self.metrics.request(protocol, "classify", source) as observed:
            if error:
                raise error
            return await self.predictor.classify(Query(images, record=observed.record))

    @property
    def spans(self) -> list[ReadableSpan]:
        """The call's own last."""
        return list(self.exporter.get_finished_spans())


@pytest_asyncio.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    room = Room()
    await room.loader.load_bundle(write_bundle(tmp_path))
    yield room
    room.registry.close()


@pytest.mark.parametrize("num_images", [1, 5])
async def test_a_call_and_its_stages(room: Room, num_images: int) -> None:
    """Below the call's span is one of each stage, each begun where the one before it was, the last at the call's end.

    Of several images a stage lasts from the first one in it to the last one.
    """
    answer = await room.call(http_source(), [encode("PNG", seed=seed) for seed in range(num_images)])
    *stages, call = room.spans
    assert [stage.name for stage in stages] == STAGES
    assert call.parent is None
    for stage in stages:
        assert stage.parent == call.context
        assert stage.kind is SpanKind.INTERNAL
    begun, ended = [_times(stage)[0] for stage in stages], [_times(stage)[1] for stage in stages]
    assert begun == sorted(begun)
    assert all(first <= last for first, last in map(_times, stages))
    assert (begun[0], ended[-1]) == _times(call)
    inference_ms = (ended[3] - begun[3]) / 1e6
    assert inference_ms >= 0.99 * answer.timings.inference_ms


async def test_attributes_of_http(room: Room) -> None:
    """They are those of the semantic conventions, and what we know beside them."""
    await room.call(http_source(), [encode("PNG")] * 2)
    call = room.spans[-1]
    assert call.name == "POST /api/v1/classify"
    assert call.kind is SpanKind.SERVER
    assert dict(call.attributes or {}) == {
        "cnnsvc.request_id": "",
        "cnnsvc.method": "classify",
        "client.address": "192.0.2.7",
        "http.request.method": "POST",
        "http.route": "/api/v1/classify",
        "url.path": "/api/v1/classify",
        "url.scheme": "http",
        "http.response.status_code": 200,
        "cnnsvc.images": 2,
        "cnnsvc.model": "flowers",
        "cnnsvc.version": 1,
    }
    assert call.resource.attributes["service.name"] == "cnnsvc"


async def test_a_path_that_names_a_model_names_no_span(room: Room) -> None:
    """A span's name is one of few, whatever models there are."""
    source = {**http_source(), "path": "/api/v1/models/flowers", "path_params": {"name": "flowers"}}
    with room.metrics.request("http", "get_model", source):
        pass
    (call,) = room.spans
    assert call.name == "POST"
    assert (call.attributes or {})["url.path"] == "/api/v1/models/flowers"


async def test_attributes_of_grpc(room: Room) -> None:
    """The method is named in full, and the status by its name."""
    await room.call(grpc_source(), [encode("PNG")])
    call = room.spans[-1]
    assert call.name == "cnnsvc.v1.Classifier/Classify"
    attributes = dict(call.attributes or {})
    assert attributes["rpc.system.name"] == "grpc"
    assert attributes["rpc.method"] == "cnnsvc.v1.Classifier/Classify"
    assert attributes["rpc.response.status_code"] == "OK"
    with room.metrics.request("grpc", "classify_stream", grpc_source()):
        pass
    assert room.spans[-1].name == "cnnsvc.v1.Classifier/ClassifyStream"


async def test_foreign_methods_have_their_public_names(room: Room) -> None:
    """Each as its protocol declares it, whatever the metrics call it."""
    service = oip_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    names = {f"inference.GRPCInferenceService/{method.name}" for method in service.methods}
    unmeasured = {f"inference.GRPCInferenceService/{name}" for name in ("ServerLive", "ServerReady")}
    for method in [method for method in FOREIGN_METHODS if method.startswith("oip_")]:
        with room.metrics.request("grpc", method, grpc_source()):
            pass
    assert {span.name for span in room.spans} == names - unmeasured


@pytest.mark.parametrize("source_of", [http_source, grpc_source])
async def test_a_callers_trace_is_continued(room: Room, source_of: Any) -> None:
    """The call's span is a child of the caller's, in the caller's trace and with its state."""
    await room.call(source_of(traceparent=SAMPLED, tracestate="vendor=1"), [encode("PNG")])
    call = room.spans[-1]
    assert call.context is not None
    assert call.parent is not None
    assert f"{call.context.trace_id:032x}" == TRACE_ID
    assert f"{call.parent.span_id:016x}" == PARENT_ID
    assert call.context.trace_state.get("vendor") == "1"
    assert {span.context.trace_id for span in room.spans if span.context} == {call.context.trace_id}


@pytest.mark.parametrize("given", ["", "nonsense", f"00-{'0' * 32}-{PARENT_ID}-01", "ff" + SAMPLED[2:]])
async def test_what_is_no_context_begins_a_trace(room: Room, given: str) -> None:
    """A header that means nothing costs the call nothing."""
    assert await room.call(http_source(traceparent=given), [encode("PNG")])
    assert room.spans[-1].parent is None


_HEADER = st.text(st.characters(max_codepoint=255), max_size=100)


@given(st.one_of(st.just(SAMPLED), _HEADER), _HEADER, st.sampled_from([http_source, grpc_source]))
def test_no_header_fails_a_call(traceparent: str, tracestate: str, source_of: Any) -> None:
    """Whatever a caller writes into the two headers, its call has a span that can be sent."""
    room = Room()
    source = source_of(traceparent=traceparent, tracestate=tracestate)

    def call() -> None:
        with room.metrics.request("http" if isinstance(source, dict) else "grpc", "classify", source):
            pass

    contextvars.copy_context().run(call)  # as a task of its own would
    for span in room.spans:
        assert encode_spans([span]).SerializeToString()


@pytest.mark.parametrize(
    ("percent", "traceparent", "num_spans"),
    [(0, None, 0), (0, SAMPLED, 1), (100, None, 1), (100, NOT_SAMPLED, 0), (100, SAMPLED, 1)],
)
async def test_the_caller_decides_before_the_percentage(
    percent: float, traceparent: str | None, num_spans: int
) -> None:
    """A caller that traces has its calls traced, one that does not has not, and of the rest it is the share."""
    room = Room(percent)
    with room.metrics.request(
        "http", "list_models", http_source(**({"traceparent": traceparent} if traceparent else {}))
    ):
        pass
    assert len(room.spans) == num_spans


async def test_a_share_of_the_calls_is_traced() -> None:
    """Of many calls about the percentage is."""
    room = Room(20)
    for _ in range(1000):
        with room.metrics.request("http", "list_models", http_source()):
            pass
    assert 100 < len(room.spans) < 320  # six standard deviations and more


@pytest.mark.parametrize(
    ("error", "source", "kind", "status", "is_fault"),
    [
        (ImageError("not an image"), http_source(), "invalid", 400, False),
        (ImageError("not an image"), grpc_source(), "invalid", "INVALID_ARGUMENT", False),
        (LateError("late"), http_source(), "late", 504, True),
        (EngineError("secret"), grpc_source(), "internal", "INTERNAL", True),
        (RuntimeError("secret"), http_source(), "internal", 500, True),
    ],
)
async def test_failures(
    room: Room, error: Exception, source: Source, kind: str, status: int | str, is_fault: bool
) -> None:
    """The kind of the error is there, its words are not; only a failure of ours is an error of the span."""
    with pytest.raises(type(error)):
        await room.call(source, [], error)
    (call,) = room.spans
    attributes = dict(call.attributes or {})
    assert attributes["error.type"] == kind
    assert status in (attributes.get("http.response.status_code"), attributes.get("rpc.response.status_code"))
    assert call.status.status_code is (StatusCode.ERROR if is_fault else StatusCode.UNSET)
    assert call.status.description == (kind if is_fault else None)
    assert "secret" not in call.to_json()


async def test_a_refused_image_is_counted_with_its_model(room: Room) -> None:
    """What was known when the call failed is in its span; there are no stages without an answer."""
    with pytest.raises(CnnsvcError):
        await room.call(http_source(), [encode("PNG"), b"no image"])
    (call,) = room.spans
    attributes = dict(call.attributes or {})
    assert (attributes["cnnsvc.images"], attributes["cnnsvc.model"], attributes["cnnsvc.version"]) == (2, "flowers", 1)


async def test_lines_of_the_log_name_the_trace(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    """All that a call logs has the ids of its span, and not those of another call at the same time."""
    caplog.handler.addFilter(RequestIdFilter())
    first, second = http_source(traceparent=SAMPLED), http_source()
    with caplog.at_level("INFO"):
        await asyncio.gather(*(room.call(source, [b"no image"]) for source in (first, second)), return_exceptions=True)
        logging.getLogger("cnnsvc.test").info("outside")
    found: dict[str | None, str | None]
    found = {getattr(record, "span_id", None): getattr(record, "trace_id", None) for record in caplog.records}
    expected: dict[str | None, str | None]
    expected = {f"{span.context.span_id:016x}": f"{span.context.trace_id:032x}" for span in room.spans if span.context}
    assert found == expected | {None: None}
    assert TRACE_ID in found.values()


async def test_a_call_keeps_no_images_when_it_has_ended(room: Room) -> None:
    """What was recorded is let go, though a frame may hold what was observed."""
    with room.metrics.request("http", "classify", http_source()) as observed:
        assert isinstance(observed.record, CallRecord)
        await room.predictor.classify(Query([encode("PNG")], record=observed.record))
        assert len(observed.record.images) == 1
    assert observed.record is None


def _times(span: ReadableSpan) -> tuple[int, int]:
    assert span.start_time is not None
    assert span.end_time is not None
    return span.start_time, span.end_time
