"""The native gRPC service, cnnsvc.v1.Classifier: messages to queries and answers to messages."""

import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc

from cnnsvc.errors import CnnsvcError, Kind
from cnnsvc.pb import classifier_pb2 as pb
from cnnsvc.pb import classifier_pb2_grpc as pb_grpc
from service.frontends.status import grpc_status
from service.metrics import Metrics, ObservedRequest
from service.predictor import Answer, Predictor, Query
from service.registry import Registry, ServedModel

Response = TypeVar("Response")
Context = grpc.aio.ServicerContext[Any, Any]

_log = logging.getLogger("cnnsvc.grpc")


class NativeClassifier(pb_grpc.ClassifierServicer):
    def __init__(self, predictor: Predictor, registry: Registry, metrics: Metrics) -> None:
        self._predictor = predictor
        self._registry = registry
        self._metrics = metrics

    async def Classify(  # noqa: N802  # gRPC calls the method by its name in the .proto
        self, request: pb.ClassifyRequest, context: Context
    ) -> pb.ClassifyResponse:
        async def answer(observed: ObservedRequest) -> pb.ClassifyResponse:
            found = await self._predictor.classify(_query(request, context))
            observed.model, observed.version = found.model, found.version
            return _classify_response(found)

        return await self._serve("classify", context, answer)

    async def ListModels(  # noqa: N802  # as above
        self, request: pb.ListModelsRequest, context: Context
    ) -> pb.ListModelsResponse:
        async def answer(observed: ObservedRequest) -> pb.ListModelsResponse:
            return pb.ListModelsResponse(models=[_model_message(served) for served in self._registry.models()])

        return await self._serve("list_models", context, answer)

    async def GetModel(  # noqa: N802  # as above
        self, request: pb.GetModelRequest, context: Context
    ) -> pb.Model:
        async def answer(observed: ObservedRequest) -> pb.Model:
            served = self._registry.get(request.model, request.version)
            observed.model, observed.version = served.manifest.name, served.manifest.version
            return _model_message(served)

        return await self._serve("get_model", context, answer)

    async def _serve(
        self,
        method: str,
        context: Context,
        answer: Callable[[ObservedRequest], Awaitable[Response]],
    ) -> Response:
        """Measures the call and translates what it raises."""
        try:
            with self._metrics.request("grpc", method) as observed:
                return await answer(observed)
        except Exception as error:
            await context.abort(*_refusal(error))


def _refusal(error: Exception) -> tuple[grpc.StatusCode, str]:
    """Status and message; an internal error's own words are for the log."""
    if isinstance(error, CnnsvcError) and error.kind is not Kind.INTERNAL:
        return grpc_status(error.kind), str(error)
    request_id = uuid.uuid4().hex
    _log.error("request %s failed", request_id, exc_info=error)
    return grpc.StatusCode.INTERNAL, f"internal error; request id {request_id}"


def _query(request: pb.ClassifyRequest, context: Context) -> Query:
    remaining_seconds = context.time_remaining()
    return Query(
        images=request.images,
        model=request.model,
        version=request.version,
        top_k=request.top_k if request.HasField("top_k") else None,
        deadline=None if remaining_seconds is None else time.monotonic() + remaining_seconds,
    )


def _classify_response(answer: Answer) -> pb.ClassifyResponse:
    return pb.ClassifyResponse(
        model=answer.model,
        version=answer.version,
        results=[
            pb.Result(classes=[pb.ScoredClass(name=name, score=score) for name, score in result])
            for result in answer.results
        ],
        timings=pb.Timings(
            decode_ms=answer.timings.decode_ms,
            queue_ms=answer.timings.queue_ms,
            inference_ms=answer.timings.inference_ms,
            total_ms=answer.timings.total_ms,
        ),
    )


def _model_message(served: ServedModel) -> pb.Model:
    manifest = served.manifest
    return pb.Model(
        name=manifest.name,
        version=manifest.version,
        is_default=served.is_default,
        class_names=manifest.class_names,
        image_height=manifest.image.height,
        image_width=manifest.image.width,
        image_channels=manifest.image.channels,
        engine=served.engine_name,
        artifact=served.artifact,
        network=manifest.network.notation,
        num_parameters=manifest.network.num_parameters,
        created=manifest.created,
    )
