"""The JSON messages of the HTTP API, as they are read and written and as the OpenAPI document shows them."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from cnnsvc.engines.choice import Trial
from cnnsvc.errors import Fault
from cnnsvc.manifest import Artifact, ImageShape, Network
from cnnsvc.occlusion import LEAST_BUDGET
from service.explain import Explained
from service.predictor import Answer
from service.registry import Refusal, ServedModel

MAX_VERSION = 2**63 - 1
"""Largest version that gRPC's int64 holds."""


class ClassifyRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One or many images as base64; give either `image` or `images`."""

    image: Annotated[bytes, Meta(description="One encoded image.")] | UnsetType = UNSET
    images: Annotated[list[bytes], Meta(description="Encoded images.", min_length=1)] | UnsetType = UNSET
    model: Annotated[str, Meta(description="Name of the model; absent or empty means the only one.")] | UnsetType = (
        UNSET
    )
    version: (
        Annotated[int, Meta(description="Version; absent or 0 means the default one.", ge=0, le=MAX_VERSION)]
        | UnsetType
    ) = UNSET
    label: Annotated[str, Meta(description="Label of a version, such as stable; instead of a version.")] | UnsetType = (
        UNSET
    )
    top_k: (
        Annotated[
            int,
            Meta(
                description="Number of classes an image, at most the model's number of classes; absent means 5 or all,"
                " whichever is less.",
                ge=1,
            ),
        ]
        | UnsetType
    ) = UNSET


class ExplainRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One image as base64, and what of its classification to explain."""

    image: Annotated[bytes, Meta(description="One encoded image.")]
    model: Annotated[str, Meta(description="Name of the model; absent or empty means the only one.")] | UnsetType = (
        UNSET
    )
    version: (
        Annotated[int, Meta(description="Version; absent or 0 means the default one.", ge=0, le=MAX_VERSION)]
        | UnsetType
    ) = UNSET
    label: Annotated[str, Meta(description="Label of a version, such as stable; instead of a version.")] | UnsetType = (
        UNSET
    )
    class_name: (
        Annotated[str, Meta(description="Class to explain; absent or empty means the best one.")] | UnsetType
    ) = UNSET
    budget: (
        Annotated[
            int, Meta(description="Most inferences; absent means 200 or the limit of the server.", ge=LEAST_BUDGET)
        ]
        | UnsetType
    ) = UNSET


class ExplainTimings(msgspec.Struct, frozen=True):
    """Where the time of an explanation went, in milliseconds."""

    decode_ms: float
    inference_ms: Annotated[float, Meta(description="All inferences, from the first to the last.")]
    total_ms: float


class ExplainResponse(msgspec.Struct, frozen=True):
    """How much the score of a class falls where a patch of the image is covered with the image's mean colour."""

    model: str
    version: int
    class_name: Annotated[str, Meta(description="The class that is explained.")]
    score: Annotated[float, Meta(description="Its softmax probability for the image as it is.")]
    budget_used: Annotated[int, Meta(description="Inferences made: one for each cell, and one of the image as it is.")]
    input_height: Annotated[int, Meta(description="Pixels of the network's input, to which the image is resized.")]
    input_width: int
    grid_height: Annotated[int, Meta(description="Rows of the grid, which shares the image evenly.")]
    grid_width: Annotated[int, Meta(description="Columns of the grid.")]
    patch_size: Annotated[
        int,
        Meta(description="Side of the covered square around the middle of a cell, in pixels of the network's input."),
    ]
    heat: Annotated[
        list[list[float]], Meta(description="Rows of the grid: the fall of the score; negative where it rises.")
    ]
    heat_png: Annotated[
        bytes,
        Meta(
            description="PNG with transparency, of the size of the network's input, to lay over the image: red where"
            " the score falls, blue where it rises."
        ),
    ]
    timings: ExplainTimings
    rejected: Annotated[
        bool, Meta(description="Whether the image is of none of the classes, whatever class is explained.")
    ]


class ScoredClass(msgspec.Struct, frozen=True):
    name: str
    score: Annotated[float, Meta(description="Softmax probability, 0 to 1.")]


class Result(msgspec.Struct, frozen=True):
    """One image's classes, best first."""

    classes: list[ScoredClass]
    rejected: Annotated[
        bool,
        Meta(description="Whether the image is of none of the classes: its best score is below the model's threshold."),
    ]


class Timings(msgspec.Struct, frozen=True):
    """Where the time of the call went, in milliseconds; of many images, the slowest of each stage."""

    decode_ms: float
    queue_ms: float
    inference_ms: float
    total_ms: float


class ClassifyResponse(msgspec.Struct, frozen=True):
    """The model and version that answered, with one result an image in the order of the request."""

    model: str
    version: int
    results: list[Result]
    timings: Timings


class Model(msgspec.Struct, frozen=True):
    """One loaded version of a model."""

    name: str
    version: int
    is_default: Annotated[bool, Meta(description="Whether it answers calls that name neither version nor label.")]
    labels: Annotated[list[str], Meta(description="Labels that point to it.")]
    class_names: list[str]
    image: ImageShape
    engine: Annotated[str, Meta(description="openvino or onnxruntime.")]
    artifact: Annotated[str, Meta(description="File of the bundle that answers.")]
    precision: Annotated[str, Meta(description="Precision that it computes in: float32, bfloat16 or int8.")]
    trials: Annotated[list[Trial], Meta(description="What was tried at load, the engine that answers among them.")]
    network: Network
    artifacts: Annotated[dict[str, Artifact], Meta(description="Every form of the network, by name.")]
    created: Annotated[str, Meta(description="ISO 8601, UTC.")]
    threshold: (
        Annotated[
            float,
            Meta(
                description="An image whose best score is below it is of none of the classes; absent where every image"
                " gets an answer."
            ),
        ]
        | UnsetType
    ) = UNSET


class RefusedVersion(msgspec.Struct, frozen=True):
    """A version in the folder of models that must not answer."""

    name: str
    version: int
    fault: Annotated[Fault, Meta(description="What is wrong with it, in one word.")]
    reason: Annotated[str, Meta(description="The same in full.")]


class ModelList(msgspec.Struct, frozen=True):
    """Every loaded version of every model, and those that were refused."""

    models: list[Model]
    refused: list[RefusedVersion]


class Readiness(msgspec.Struct, frozen=True):
    """Whether every configured model's default version has answered its golden images right."""

    ready: bool
    reasons: Annotated[list[str], Meta(description="Why not; empty when ready.")]
    warnings: Annotated[
        list[str], Meta(description="What is wrong and not in the way of serving, such as versions that are refused.")
    ] = []


def classify_response(answer: Answer) -> ClassifyResponse:
    timings = answer.timings
    return ClassifyResponse(
        answer.model,
        answer.version,
        [
            Result([ScoredClass(name, score) for name, score in classes], place in answer.rejected)
            for place, classes in enumerate(answer.results)
        ],
        Timings(timings.decode_ms, timings.queue_ms, timings.inference_ms, timings.total_ms),
    )


def explain_response(found: Explained) -> ExplainResponse:
    explanation = found.explanation
    grid = explanation.grid
    return ExplainResponse(
        explanation.model,
        explanation.version,
        explanation.class_name,
        explanation.score,
        grid.num_inferences,
        grid.image_height,
        grid.image_width,
        grid.height,
        grid.width,
        grid.patch,
        explanation.heat,
        found.heat_png,
        ExplainTimings(1000 * found.decode_seconds, 1000 * found.inference_seconds, 1000 * found.total_seconds),
        explanation.rejected,
    )


def model_message(served: ServedModel) -> Model:
    manifest = served.manifest
    return Model(
        name=manifest.name,
        version=manifest.version,
        is_default=served.is_default,
        labels=list(served.labels),
        class_names=manifest.class_names,
        image=manifest.image,
        engine=served.engine_name,
        artifact=served.artifact,
        precision=manifest.artifacts[served.artifact].precision,
        trials=served.model.trials,
        network=manifest.network,
        artifacts=manifest.artifacts,
        created=manifest.created,
        threshold=UNSET if manifest.threshold is None else manifest.threshold,
    )


def model_list(served: Sequence[ServedModel], refusals: Sequence[Refusal]) -> ModelList:
    return ModelList(
        [model_message(one) for one in served],
        [RefusedVersion(one.name, one.version, one.fault, one.reason) for one in refusals],
    )
