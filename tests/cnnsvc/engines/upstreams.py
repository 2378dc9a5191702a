"""Upstreams for the remote engine: servers in this process that speak either dialect and misbehave as they are told."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import HealthServicer

from cnnsvc.bundle import Bundle
from cnnsvc.engines.base import Engine, Images, Scores
from cnnsvc.pb import oip_pb2, tensorflow_pb2, tfs_pb2

TFS, OIP = "tfs", "oip"
_NUMPY = {"UINT8": np.uint8, "FP32": np.float32}
_TYPES = {"UINT8": tensorflow_pb2.DT_UINT8, "FP32": tensorflow_pb2.DT_FLOAT}


@dataclass
class Upstream:
    """What it serves; each field may be changed while it runs."""

    answer: Callable[[Images], Scores]
    image_hwc: tuple[int, ...]
    num_classes: int
    model: str = "flowers"
    versions: list[int] = field(default_factory=lambda: [1])
    type: str = "UINT8"
    token: str = ""
    packs_scores: bool = True
    """As bytes, not as numbers one by one."""
    refusal: tuple[grpc.StatusCode, str] | None = None
    """Of every inference."""
    gate: threading.Event = field(default_factory=threading.Event)
    """Inferences wait here."""
    batch_sizes: list[int] = field(default_factory=list)
    seconds_left: list[float] = field(default_factory=list)
    """Of the callers' deadlines."""
    port: int = 0
    servicer: HealthServicer = field(default_factory=HealthServicer)

    @classmethod
    def of(cls, bundle: Bundle, engine: Engine) -> "Upstream":
        """Not yet running; it computes with the bundle's own network."""
        shape = bundle.manifest.image
        return cls(engine.run, (shape.height, shape.width, shape.channels), len(bundle.manifest.class_names))

    def __post_init__(self) -> None:
        self.gate.set()
        self.set_health(is_serving=True)

    @property
    def url(self) -> str:
        return f"grpc://127.0.0.1:{self.port}"

    def set_health(self, *, is_serving: bool) -> None:
        status = health_pb2.HealthCheckResponse
        self.servicer.set("", status.SERVING if is_serving else status.NOT_SERVING)

    @contextlib.contextmanager
    def running(self, *dialects: str, credentials: grpc.ServerCredentials | None = None) -> Iterator["Upstream"]:
        """On the port that it had before, if any."""
        server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        address = f"127.0.0.1:{self.port}"
        self.port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
        for dialect in dialects:
            server.add_generic_rpc_handlers(tuple(_HANDLERS[dialect](self)))
        health_pb2_grpc.add_HealthServicer_to_server(self.servicer, server)
        server.start()
        try:
            yield self
        finally:
            self.gate.set()
            server.stop(0).wait(10)

    def infer(self, context: Any, raw: bytes, shape: list[int]) -> Scores:
        self.batch_sizes.append(shape[0])
        self.seconds_left.append(context.time_remaining())
        if self.refusal:
            context.abort(*self.refusal)
        self.gate.wait(20)
        pixels = np.frombuffer(raw, _NUMPY[self.type]).reshape(shape)
        assert pixels.min() >= 0
        assert pixels.max() <= 255
        return self.answer(pixels.astype(np.uint8))

    def check(self, context: Any, model: str, version: int) -> None:
        if self.token and ("authorization", f"Bearer {self.token}") not in context.invocation_metadata():
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no token that is known")
        if model != self.model or version not in self.versions:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: Specific({model}, {version})")


def _tfs(upstream: Upstream) -> Iterator[grpc.GenericRpcHandler]:
    def status(request: tfs_pb2.GetModelStatusRequest, context: Any) -> tfs_pb2.GetModelStatusResponse:
        upstream.check(context, request.model_spec.name, request.model_spec.version.value)
        available = tfs_pb2.ModelVersionStatus(
            version=request.model_spec.version.value, state=tfs_pb2.ModelVersionStatus.AVAILABLE
        )
        return tfs_pb2.GetModelStatusResponse(model_version_status=[available])

    def metadata(request: tfs_pb2.GetModelMetadataRequest, context: Any) -> tfs_pb2.GetModelMetadataResponse:
        upstream.check(context, request.model_spec.name, request.model_spec.version.value)
        assert list(request.metadata_field) == ["signature_def"]
        definitions = tfs_pb2.SignatureDefMap()
        definition = definitions.signature_def["serving_default"]
        _describe(definition.inputs["keras_tensor"], _TYPES[upstream.type], upstream.image_hwc)
        _describe(definition.outputs["output_0"], tensorflow_pb2.DT_FLOAT, (upstream.num_classes,))
        response = tfs_pb2.GetModelMetadataResponse()
        found = response.metadata["signature_def"]
        found.type_url = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
        found.value = definitions.SerializeToString()
        return response

    def predict(request: tfs_pb2.PredictRequest, context: Any) -> tfs_pb2.PredictResponse:
        upstream.check(context, request.model_spec.name, request.model_spec.version.value)
        assert list(request.output_filter) == ["output_0"]
        sent = request.inputs["keras_tensor"]
        assert sent.dtype == _TYPES[upstream.type]
        scores = upstream.infer(context, sent.tensor_content, [dim.size for dim in sent.tensor_shape.dim])
        response = tfs_pb2.PredictResponse()
        answered = response.outputs["output_0"]
        answered.dtype = tensorflow_pb2.DT_FLOAT
        for size in scores.shape:
            answered.tensor_shape.dim.add(size=size)
        if upstream.packs_scores:
            answered.tensor_content = scores.astype("<f4").tobytes()
        else:
            answered.float_val.extend(scores.ravel().tolist())
        return response

    yield _service("tensorflow.serving.ModelService", GetModelStatus=(status, tfs_pb2.GetModelStatusRequest))
    yield _service(
        "tensorflow.serving.PredictionService",
        GetModelMetadata=(metadata, tfs_pb2.GetModelMetadataRequest),
        Predict=(predict, tfs_pb2.PredictRequest),
    )


def _oip(upstream: Upstream) -> Iterator[grpc.GenericRpcHandler]:
    def live(request: oip_pb2.ServerLiveRequest, context: Any) -> oip_pb2.ServerLiveResponse:
        return oip_pb2.ServerLiveResponse(live=True)

    def metadata(request: oip_pb2.ModelMetadataRequest, context: Any) -> oip_pb2.ModelMetadataResponse:
        upstream.check(context, request.name, int(request.version))
        response = oip_pb2.ModelMetadataResponse(name=request.name, versions=map(str, upstream.versions))
        response.inputs.add(name="image", datatype=upstream.type, shape=[-1, *upstream.image_hwc])
        response.outputs.add(name="probabilities", datatype="FP32", shape=[-1, upstream.num_classes])
        return response

    def infer(request: oip_pb2.ModelInferRequest, context: Any) -> oip_pb2.ModelInferResponse:
        upstream.check(context, request.model_name, int(request.model_version))
        (sent,), (raw,) = request.inputs, request.raw_input_contents
        assert (sent.name, sent.datatype) == ("image", upstream.type)
        assert [output.name for output in request.outputs] == ["probabilities"]
        scores = upstream.infer(context, raw, list(sent.shape))
        response = oip_pb2.ModelInferResponse(model_name=request.model_name, model_version=request.model_version)
        output = response.outputs.add(name="probabilities", datatype="FP32", shape=scores.shape)
        if upstream.packs_scores:
            response.raw_output_contents.append(scores.astype("<f4").tobytes())
        else:
            output.contents.fp32_contents.extend(scores.ravel().tolist())
        return response

    yield _service(
        "inference.GRPCInferenceService",
        ServerLive=(live, oip_pb2.ServerLiveRequest),
        ModelMetadata=(metadata, oip_pb2.ModelMetadataRequest),
        ModelInfer=(infer, oip_pb2.ModelInferRequest),
    )


_HANDLERS = {TFS: _tfs, OIP: _oip}


def _service(name: str, **methods: tuple[Callable[[Any, Any], Any], Any]) -> grpc.GenericRpcHandler:
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        method: grpc.unary_unary_rpc_method_handler(
            call,
            request_deserializer=request.FromString,
            response_serializer=lambda response: response.SerializeToString(),
        )
        for method, (call, request) in methods.items()
    }
    return grpc.method_handlers_generic_handler(name, handlers)


def _describe(info: Any, type_: int, shape: tuple[int, ...]) -> None:
    info.dtype = type_
    for size in (-1, *shape):
        info.tensor_shape.dim.add(size=size)
