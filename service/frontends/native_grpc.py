"""The native gRPC service, cnnsvc.v1.Classifier: messages to queries and answers to messages."""

import functools
import time
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from cnnsvc.errors import InvalidError
from cnnsvc.pb import classifier_pb2 as pb
from cnnsvc.ranking import ScoredClasses
from service.call_record import CallRecord
from service.frontends.grpc_boundary import Context, deadline_of, describe, late_at_deadline, parse
from service.frontends.grpc_calls import GrpcCalls
from service.frontends.grpc_service import GrpcService
from service.frontends.native_stream import ImageStream, StreamLimits
from service.health import CLASSIFIER_SERVICE
from service.metrics import Metrics, ObservedRequest
from service.predictor import Answer, Predictor, Query
from service.registry import Registry, ServedModel

_STREAM_LIMITS: Final = StreamLimits(num_images=32, num_bytes=32 * 1024 * 1024)


class NativeClassifier:
    def __init__(
        self,
        predictor: Predictor,
        registry: Registry,
        metrics: Metrics,
        calls: GrpcCalls,
        stream_limits: StreamLimits = _STREAM_LIMITS,
    ) -> None:
        self._predictor = predictor
        self._registry = registry
        self._metrics = metrics
        self._calls = calls
        self._stream_limits = stream_limits

    def service(self) -> GrpcService:
        return GrpcService(
            CLASSIFIER_SERVICE,
            pb.DESCRIPTOR,
            {"Classify": self.Classify, "ListModels": self.ListModels, "GetModel": self.GetModel},
            {"ClassifyStream": self.ClassifyStream},
        )

    async def Classify(  # noqa: N802  # its name in the .proto
        self, request_bytes: bytes, context: Context
    ) -> pb.ClassifyResponse | None:
        async def answer(observed: ObservedRequest) -> pb.ClassifyResponse:
            query = _query(parse(pb.ClassifyRequest, request_bytes), context, observed.record)
            found = await self._predictor.classify(query)
            observed.model, observed.version = found.model, found.version
            return _classify_response(found)

        return await self._calls.serve("classify", context, answer)

    async def ListModels(  # noqa: N802  # as above
        self, request_bytes: bytes, context: Context
    ) -> pb.ListModelsResponse | None:
        async def answer(observed: ObservedRequest) -> pb.ListModelsResponse:
            parse(pb.ListModelsRequest, request_bytes)
            return pb.ListModelsResponse(
                models=[_model_message(served) for served in self._registry.models()],
                refused=[
                    pb.RefusedVersion(name=one.name, version=one.version, fault=one.fault, reason=one.reason)
                    for one in self._registry.refusals()
                ],
            )

        return await self._calls.serve("list_models", context, answer)

    async def GetModel(  # noqa: N802  # as above
        self, request_bytes: bytes, context: Context
    ) -> pb.Model | None:
        async def answer(observed: ObservedRequest) -> pb.Model:
            request = parse(pb.GetModelRequest, request_bytes)
            served = self._registry.get(request.model, request.version, request.label)
            observed.model, observed.version = served.manifest.name, served.manifest.version
            return _model_message(served)

        return await self._calls.serve("get_model", context, answer)

    async def ClassifyStream(  # noqa: N802  # as above
        self, request_iterator: AsyncIterator[bytes], context: Context
    ) -> None:
        """Reads through the context instead of the iterator, which nothing could pause."""
        answer = functools.partial(self._answer_streamed, context)
        stream = ImageStream(pb.ClassifyStreamRequest, context, answer, self._stream_limits, self._calls.stopping)
        await self._calls.guard(context, stream.serve())

    async def _answer_streamed(self, context: Context, request: pb.ClassifyStreamRequest) -> pb.ClassifyStreamResponse:
        """The answer to one image of a stream, measured as a call of its own; an error is an answer."""
        try:
            with self._metrics.request("grpc", "classify_stream", context) as observed, late_at_deadline(context):
                found = await self._predictor.classify_when_room(_streamed_query(request, context, observed.record))
                observed.model, observed.version = found.model, found.version
                return pb.ClassifyStreamResponse(id=request.id, result=_stream_result(found))
        except Exception as error:
            kind, message = describe(error)
            return pb.ClassifyStreamResponse(id=request.id, error=pb.StreamError(kind=kind.value, message=message))


def _query(request: pb.ClassifyRequest, context: Context, record: CallRecord | None) -> Query:
    return Query(
        images=list(request.images),  # the message copies an image each time that it is asked for it
        model=request.model,
        version=request.version,
        top_k=request.top_k if request.HasField("top_k") else None,
        deadline=deadline_of(context),
        label=request.label,
        record=record,
    )


def _streamed_query(request: pb.ClassifyStreamRequest, context: Context, record: CallRecord | None) -> Query:
    """The earlier of the stream's deadline and the image's own holds. Raises InvalidError."""
    deadline = deadline_of(context)
    if request.HasField("timeout_ms"):
        if request.timeout_ms < 1:
            raise InvalidError(f"timeout_ms is {request.timeout_ms}; allowed are 1 and more")
        own = time.monotonic() + request.timeout_ms / 1000
        deadline = own if deadline is None else min(deadline, own)
    return Query(
        images=[request.image],
        model=request.model,
        version=request.version,
        top_k=request.top_k if request.HasField("top_k") else None,
        deadline=deadline,
        label=request.label,
        record=record,
    )


def _classify_response(answer: Answer) -> pb.ClassifyResponse:
    return pb.ClassifyResponse(
        model=answer.model,
        version=answer.version,
        results=[
            pb.Result(classes=_class_messages(result), rejected=place in answer.rejected)
            for place, result in enumerate(answer.results)
        ],
        timings=_timings_message(answer),
    )


def _stream_result(answer: Answer) -> pb.StreamResult:
    return pb.StreamResult(
        model=answer.model,
        version=answer.version,
        classes=_class_messages(answer.results[0]),
        timings=_timings_message(answer),
        rejected=bool(answer.rejected),
    )


def _class_messages(result: ScoredClasses) -> list[pb.ScoredClass]:
    return [pb.ScoredClass(name=name, score=score) for name, score in result]


def _timings_message(answer: Answer) -> pb.Timings:
    return pb.Timings(
        decode_ms=answer.timings.decode_ms,
        queue_ms=answer.timings.queue_ms,
        inference_ms=answer.timings.inference_ms,
        total_ms=answer.timings.total_ms,
    )


def _model_message(served: ServedModel) -> pb.Model:
    manifest = served.manifest
    return pb.Model(
        name=manifest.name,
        version=manifest.version,
        is_default=served.is_default,
        labels=served.labels,
        class_names=manifest.class_names,
        image_height=manifest.image.height,
        image_width=manifest.image.width,
        image_channels=manifest.image.channels,
        engine=served.engine_name,
        artifact=served.artifact,
        network=manifest.network.notation,
        num_parameters=manifest.network.num_parameters,
        created=manifest.created,
        threshold=manifest.threshold,
        trials=[pb.EngineTrial(**msgspec.structs.asdict(trial)) for trial in served.model.trials],
    )
