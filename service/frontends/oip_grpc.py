"""The gRPC service of the Open Inference protocol, inference.GRPCInferenceService, with Triton's additions."""

import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from google.protobuf.message import Message

from cnnsvc.errors import NotFoundError
from cnnsvc.pb import oip_pb2 as pb
from service.admin import Admin
from service.frontends.grpc_boundary import Context, describe, late_at_deadline, parse
from service.frontends.grpc_calls import GrpcCalls
from service.frontends.grpc_service import GrpcService, Unary
from service.frontends.native_stream import ImageStream, StreamLimits
from service.frontends.oip_grpc_infer import Asked, parameters_of, read_call, response_of
from service.frontends.oip_model import is_model_ready, model_config, model_metadata, server_metadata
from service.frontends.oip_query import Target
from service.frontends.oip_repository import load, repository_index, unload
from service.frontends.oip_statistics import model_statistics
from service.health import OPEN_INFERENCE_SERVICE
from service.metrics import Metrics, ObservedRequest
from service.predictor import Predictor
from service.registry import Registry, ServedModel

Request = TypeVar("Request", bound=Message)


class OpenInference:
    def __init__(
        self,
        predictor: Predictor,
        registry: Registry,
        metrics: Metrics,
        calls: GrpcCalls,
        admin: Admin | None,
        *,
        max_images: int,
        stream_limits: StreamLimits,
    ) -> None:
        self._predictor = predictor
        self._registry = registry
        self._metrics = metrics
        self._calls = calls
        self._admin = admin
        self._max_images = max_images
        self._stream_limits = stream_limits

    def service(self) -> GrpcService:
        measured = self._measured
        return GrpcService(
            OPEN_INFERENCE_SERVICE,
            pb.DESCRIPTOR,
            {
                "ServerLive": self._probe(pb.ServerLiveRequest, lambda: pb.ServerLiveResponse(live=True)),
                "ServerReady": self._probe(pb.ServerReadyRequest, self._server_ready),
                "ModelReady": measured("oip_model_ready", pb.ModelReadyRequest, self._model_ready),
                "ServerMetadata": measured("oip_server_metadata", pb.ServerMetadataRequest, self._server_metadata),
                "ModelMetadata": measured("oip_model_metadata", pb.ModelMetadataRequest, self._model_metadata),
                "ModelConfig": measured("oip_model_config", pb.ModelConfigRequest, self._model_config),
                "ModelStatistics": measured("oip_statistics", pb.ModelStatisticsRequest, self._model_statistics),
                "ModelInfer": self._model_infer,
                "RepositoryIndex": measured("oip_repository_index", pb.RepositoryIndexRequest, self._index),
                "RepositoryModelLoad": measured("oip_load", pb.RepositoryModelLoadRequest, self._load),
                "RepositoryModelUnload": measured("oip_unload", pb.RepositoryModelUnloadRequest, self._unload),
            },
            {"ModelStreamInfer": self._model_stream_infer},
        )

    async def _model_infer(self, request_bytes: bytes, context: Context) -> pb.ModelInferResponse | None:
        async def answer(observed: ObservedRequest) -> pb.ModelInferResponse:
            asked = self._read(parse(pb.ModelInferRequest, request_bytes), context, observed)
            found = await self._predictor.classify(asked.query)
            observed.model, observed.version = found.model, found.version
            return response_of(asked, found)

        return await self._calls.serve("oip_infer", context, answer)

    async def _model_stream_infer(self, request_iterator: AsyncIterator[bytes], context: Context) -> None:
        """Answers in the order of the requests, as Triton does and its clients may rely on."""
        answer = functools.partial(self._answer_streamed, context)
        stream = ImageStream(
            pb.ModelInferRequest, context, answer, self._stream_limits, self._calls.stopping, is_ordered=True
        )
        await self._calls.guard(context, stream.serve())

    async def _answer_streamed(self, context: Context, request: pb.ModelInferRequest) -> pb.ModelStreamInferResponse:
        """Measured as a call of its own; an error is an answer, with the request's id."""
        try:
            with self._metrics.request("grpc", "oip_stream_infer", context) as observed, late_at_deadline(context):
                asked = self._read(request, context, observed)
                try:
                    found = await self._predictor.classify_when_room(asked.query)
                except NotFoundError:  # the version that was to take these pixels may have gone while they waited
                    asked = self._read(request, context, observed)
                    found = await self._predictor.classify_when_room(asked.query)
                observed.model, observed.version = found.model, found.version
                return pb.ModelStreamInferResponse(infer_response=response_of(asked, found))
        except Exception as error:
            _, message = describe(error)
            about = pb.ModelInferResponse(
                model_name=request.model_name, model_version=request.model_version, id=request.id
            )
            return pb.ModelStreamInferResponse(error_message=message, infer_response=about)

    def _read(self, request: pb.ModelInferRequest, context: Context, observed: ObservedRequest) -> Asked:
        return read_call(request, self._registry, self._max_images, _deadline(context), observed.record)

    def _measured(
        self, method: str, kind: type[Request], answer: Callable[[Request, ObservedRequest], Awaitable[Message]]
    ) -> Unary:
        async def call(request_bytes: bytes, context: Context) -> Message | None:
            async def respond(observed: ObservedRequest) -> Message:
                return await answer(parse(kind, request_bytes), observed)

            return await self._calls.serve(method, context, respond)

        return call

    def _probe(self, kind: type[Message], answer: Callable[[], Message]) -> Unary:
        """Not measured: orchestrators ask every few seconds."""

        async def call(request_bytes: bytes, context: Context) -> Message | None:
            async def respond() -> Message:
                parse(kind, request_bytes)
                return answer()

            return await self._calls.guard(context, respond())

        return call

    def _server_ready(self) -> Message:
        return pb.ServerReadyResponse(ready=not self._registry.unready_reasons())

    async def _model_ready(self, request: pb.ModelReadyRequest, observed: ObservedRequest) -> Message:
        target = Target.read(request.name, request.version)
        return pb.ModelReadyResponse(ready=is_model_ready(target, self._registry))

    async def _server_metadata(self, request: pb.ServerMetadataRequest, observed: ObservedRequest) -> Message:
        return server_metadata()

    async def _model_metadata(self, request: pb.ModelMetadataRequest, observed: ObservedRequest) -> Message:
        return model_metadata(self._served(request.name, request.version, observed), self._registry)

    async def _model_config(self, request: pb.ModelConfigRequest, observed: ObservedRequest) -> Message:
        served = self._served(request.name, request.version, observed)
        return pb.ModelConfigResponse(config=model_config(served, self._max_images))

    async def _model_statistics(self, request: pb.ModelStatisticsRequest, observed: ObservedRequest) -> Message:
        return model_statistics(Target.read(request.name, request.version), self._registry)

    async def _index(self, request: pb.RepositoryIndexRequest, observed: ObservedRequest) -> Message:
        return repository_index(self._registry, only_ready=request.ready)

    async def _load(self, request: pb.RepositoryModelLoadRequest, observed: ObservedRequest) -> Message:
        await load(self._admin, request.model_name, parameters_of(request.parameters))
        return pb.RepositoryModelLoadResponse()

    async def _unload(self, request: pb.RepositoryModelUnloadRequest, observed: ObservedRequest) -> Message:
        await unload(self._admin, request.model_name, parameters_of(request.parameters))
        return pb.RepositoryModelUnloadResponse()

    def _served(self, name: str, version: str, observed: ObservedRequest) -> ServedModel:
        served = Target.read(name, version).served(self._registry)
        observed.model, observed.version = served.manifest.name, served.manifest.version
        return served


def _deadline(context: Context) -> float | None:
    """The call's deadline on the monotonic clock, in seconds."""
    remaining_seconds = context.time_remaining()
    return None if remaining_seconds is None else time.monotonic() + remaining_seconds
