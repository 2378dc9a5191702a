"""The gRPC client of a running server."""

from collections.abc import Callable
from typing import Any, Final

import grpc

from cnnsvc.classification import Classification
from cnnsvc.errors import (
    CnnsvcError,
    InternalError,
    InvalidError,
    LateError,
    NotFoundError,
    NotReadyError,
    OverloadedError,
)
from cnnsvc.pb import classifier_pb2 as pb
from cnnsvc.pb import classifier_pb2_grpc as pb_grpc

_ERRORS: Final[dict[grpc.StatusCode, type[CnnsvcError]]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.UNAVAILABLE: NotReadyError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: OverloadedError,
    grpc.StatusCode.DEADLINE_EXCEEDED: LateError,
}
_MESSAGE_LIMIT_BYTES: Final = 32 * 1024 * 1024


class Client:
    """One channel to one server; may be used from several threads. Every call raises CnnsvcError."""

    def __init__(self, address: str, *, model: str = "", version: int = 0, timeout_ms: int = 30_000) -> None:
        """`address` is HOST:PORT; "" is the only model, version 0 its default."""
        limits = [
            ("grpc.max_receive_message_length", _MESSAGE_LIMIT_BYTES),
            ("grpc.max_send_message_length", _MESSAGE_LIMIT_BYTES),
        ]
        self._address = address
        self._model = model
        self._version = version
        self._timeout_seconds = timeout_ms / 1000
        self._channel = grpc.insecure_channel(address, options=limits)
        self._stub = pb_grpc.ClassifierStub(self._channel)

    def classify(self, image_bytes: bytes, top_k: int | None = None) -> Classification:
        request = pb.ClassifyRequest(images=[image_bytes], model=self._model, version=self._version, top_k=top_k)
        response = self._call(self._stub.Classify, request)
        classes = [(scored.name, scored.score) for scored in response.results[0].classes]
        return Classification(response.model, response.version, classes)

    def get_model(self) -> pb.Model:
        """The model that this client asks, as the server describes it."""
        model: pb.Model = self._call(self._stub.GetModel, pb.GetModelRequest(model=self._model, version=self._version))
        return model

    def close(self) -> None:
        self._channel.close()

    def _call(self, method: Callable[..., Any], request: Any) -> Any:
        try:
            return method(request, timeout=self._timeout_seconds)
        except grpc.RpcError as error:
            kind = _ERRORS.get(error.code(), InternalError)
            raise kind(f"{self._address} answers {error.code().name}: {error.details()}") from None
