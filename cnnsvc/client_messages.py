"""Messages of the native API to the typed results of the clients, and back."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cnnsvc.classification import Classification, Image, Outcome, ScoredClass, Timings, read_image
from cnnsvc.client_channel import MESSAGE_LIMIT_BYTES, error_of_kind
from cnnsvc.errors import CnnsvcError, TooLargeError
from cnnsvc.pb import classifier_pb2 as pb

IMAGES_PER_CALL: Final = 128
"""The server's default --max-images-per-call."""
IMAGE_LIMIT_BYTES: Final = MESSAGE_LIMIT_BYTES - 64 * 1024
"""Of the images of one message; what is left is for the other fields."""


@dataclass(frozen=True, slots=True)
class Target:
    """Which model a client asks, and how long it waits."""

    model: str
    version: int
    timeout_ms: int
    label: str = ""

    @property
    def timeout_seconds(self) -> float:
        return self.timeout_ms / 1000


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """One loaded version of a model."""

    name: str
    version: int
    is_default: bool
    class_names: tuple[str, ...]
    image_height: int
    image_width: int
    image_channels: int
    engine: str
    artifact: str
    network: str
    num_parameters: int
    created: str
    """ISO 8601, UTC."""
    labels: tuple[str, ...] = ()
    threshold: float | None = None
    """An image whose best score is below it is of none of the classes; None where every image gets an answer."""


def sized(image_bytes: bytes) -> bytes:
    """The image as it is. Raises TooLargeError where no message can hold it."""
    if len(image_bytes) > IMAGE_LIMIT_BYTES:
        raise TooLargeError(f"the image has {len(image_bytes)} bytes; a message can hold {IMAGE_LIMIT_BYTES}")
    return image_bytes


def chunks(images: Iterable[bytes]) -> Iterator[list[bytes]]:
    """The images in order, as many together as one call may hold."""
    chunk: list[bytes] = []
    num_bytes = 0
    for image in images:
        if chunk and (len(chunk) == IMAGES_PER_CALL or num_bytes + len(image) > IMAGE_LIMIT_BYTES):
            yield chunk
            chunk, num_bytes = [], 0
        chunk.append(sized(image))
        num_bytes += len(image)
    if chunk:
        yield chunk


def classify_request(images: Sequence[bytes], target: Target, top_k: int | None) -> pb.ClassifyRequest:
    return pb.ClassifyRequest(
        images=images, model=target.model, version=target.version, label=target.label, top_k=top_k
    )


def classifications(response: pb.ClassifyResponse) -> list[Classification]:
    timings = _timings(response.timings)
    return [
        Classification(response.model, response.version, _classes(result.classes), timings, result.rejected)
        for result in response.results
    ]


def stream_request(
    place: int, image: Image, target: Target, top_k: int | None
) -> pb.ClassifyStreamRequest | CnnsvcError:
    """The message of one image, or why there is none."""
    try:
        image_bytes = sized(read_image(image))
    except CnnsvcError as error:
        return error
    return pb.ClassifyStreamRequest(
        id=str(place),
        image=image_bytes,
        model=target.model,
        version=target.version,
        label=target.label,
        top_k=top_k,
        timeout_ms=target.timeout_ms,
    )


def stream_outcome(answer: pb.ClassifyStreamResponse) -> tuple[int, Outcome]:
    """The place of the image and what became of it."""
    if answer.HasField("error"):
        return int(answer.id), error_of_kind(answer.error.kind, answer.error.message)
    result = answer.result
    found = Classification(
        result.model, result.version, _classes(result.classes), _timings(result.timings), result.rejected
    )
    return int(answer.id), found


def model_description(model: pb.Model) -> ModelDescription:
    return ModelDescription(
        name=model.name,
        version=model.version,
        is_default=model.is_default,
        class_names=tuple(model.class_names),
        image_height=model.image_height,
        image_width=model.image_width,
        image_channels=model.image_channels,
        engine=model.engine,
        artifact=model.artifact,
        network=model.network,
        num_parameters=model.num_parameters,
        created=model.created,
        labels=tuple(model.labels),
        threshold=model.threshold if model.HasField("threshold") else None,
    )


def _classes(scored: Iterable[pb.ScoredClass]) -> tuple[ScoredClass, ...]:
    return tuple(ScoredClass(each.name, each.score) for each in scored)


def _timings(timings: pb.Timings) -> Timings:
    return Timings(timings.decode_ms, timings.queue_ms, timings.inference_ms, timings.total_ms)
