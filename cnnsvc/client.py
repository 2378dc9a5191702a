"""The clients of a running server: Client for threads, AsyncClient for asyncio.

with Client("127.0.0.1:8500") as client:
    print(client.classify("rose.jpg").best)
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cnnsvc.async_client import AsyncClient
from cnnsvc.classification import Classification, Image, Key, Outcome, ScoredClass, Timings, read_image
from cnnsvc.client_channel import CHANNEL_OPTIONS, error_of_call
from cnnsvc.client_messages import (
    ModelDescription,
    Target,
    chunks,
    classifications,
    classify_request,
    model_description,
    sized,
    stream_request,
)
from cnnsvc.client_stream import ImageStream
from cnnsvc.errors import CnnsvcError, LateError, NotReadyError
from cnnsvc.identity import Identity, Tls
from cnnsvc.image_files import image_files
from cnnsvc.pb import classifier_pb2 as pb
from cnnsvc.pb import classifier_pb2_grpc as pb_grpc

__all__ = ["AsyncClient", "Classification", "Client", "ModelDescription", "Outcome", "ScoredClass", "Timings", "Tls"]


class Client:
    """One channel to one server; may be used from several threads. Every call raises CnnsvcError by its kind."""

    def __init__(
        self,
        address: str,
        *,
        model: str = "",
        version: int = 0,
        label: str = "",
        timeout_ms: int = 30_000,
        token: str = "",
        tls: Tls | None = None,
    ) -> None:
        """`address` is HOST:PORT; "" is the only model; without version and label its default.

        `timeout_ms` is for one call, retries included, and in a stream for one image. Raises InvalidError where a file
        of `tls` cannot be read.
        """
        self._address = address
        self._target = Target(model, version, timeout_ms, label)
        identity = Identity(token, tls)
        self._metadata = identity.metadata
        self._channel = identity.channel(grpc, address, CHANNEL_OPTIONS)
        self._stub = pb_grpc.ClassifierStub(self._channel)
        self._health: Any = health_pb2_grpc.HealthStub(self._channel)

    def classify(self, image: Image, top_k: int | None = None) -> Classification:
        """What one image is, best class first; `top_k` None is five classes, or all where there are fewer."""
        return self._classify([sized(read_image(image))], top_k)[0]

    def classify_many(self, images: Iterable[Image], top_k: int | None = None) -> list[Classification]:
        """What each image is, in order: one call, or several where one may not hold them all.

        All or none: the first image that fails is the error of them all.
        """
        found: list[Classification] = []
        for chunk in chunks(map(read_image, images)):
            try:
                found += self._classify(chunk, top_k)
            except CnnsvcError as error:
                if not found:
                    raise
                raise type(error)(f"of the images after the first {len(found)}: {error}") from None
        return found

    def classify_stream(
        self, images: Iterable[tuple[Key, Image]], top_k: int | None = None, *, in_order: bool = False
    ) -> Iterator[tuple[Key, Outcome]]:
        """One outcome for every (key, image), as they come or in order; a bad image is an outcome, not the end.

        At most 64 images are held at a time, however many there are. Where the server goes away, all that is left has
        that as its outcome. Another thread draws from `images`.
        """
        stream = ImageStream(
            images,
            lambda place, image: stream_request(place, image, self._target, top_k),
            lambda error: error_of_call(self._address, error),
            timeout_seconds=self._target.timeout_seconds,
            in_order=in_order,
        )
        return stream.outcomes(self._start_stream)

    def classify_folder(
        self, folder: str | Path, top_k: int | None = None, *, in_order: bool = False
    ) -> Iterator[tuple[Path, Outcome]]:
        """One outcome for every image file below the folder, told by its suffix. Raises InvalidError without any."""
        files = image_files([Path(folder)])
        return self.classify_stream(((file, file) for file in files), top_k, in_order=in_order)

    def get_model(self) -> ModelDescription:
        """The model that this client asks."""
        request = pb.GetModelRequest(model=self._target.model, version=self._target.version, label=self._target.label)
        return model_description(self._call(self._stub.GetModel, request))

    def list_models(self) -> list[ModelDescription]:
        """Every model version that the server has loaded."""
        response = self._call(self._stub.ListModels, pb.ListModelsRequest())
        return [model_description(model) for model in response.models]

    def is_ready(self) -> bool:
        """Whether the server says that every model is loaded and proven; one that does not answer is not ready."""
        try:
            answer = self._call(self._health.Check, health_pb2.HealthCheckRequest())
        except (NotReadyError, LateError):
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def close(self) -> None:
        """Ends the connection, and what still runs on it."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def _classify(self, images: list[bytes], top_k: int | None) -> list[Classification]:
        return classifications(self._call(self._stub.Classify, classify_request(images, self._target, top_k)))

    def _start_stream(self, requests: Iterator[pb.ClassifyStreamRequest]) -> Any:
        """Asks for the model first, in a call that gRPC may try again, which no stream is."""
        self.get_model()
        return self._stub.ClassifyStream(requests, metadata=self._metadata)

    def _call(self, method: Callable[..., Any], request: Any) -> Any:
        try:
            return method(request, timeout=self._target.timeout_seconds, metadata=self._metadata)
        except grpc.RpcError as error:
            raise error_of_call(self._address, error) from None
