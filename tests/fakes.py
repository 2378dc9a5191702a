"""Stand-ins for the rooms below the one under test: they answer what they are told and keep what they were asked."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from cnnsvc.bundle import Bundle
from cnnsvc.classification import Timings
from cnnsvc.engines.base import NEVER, Images, Scores
from cnnsvc.engines.choice import Choice, Trial
from cnnsvc.errors import NotFoundError
from cnnsvc.manifest import Manifest
from cnnsvc.model import Model, ModelOptions
from service.admission import Admission
from service.batcher import Batcher
from service.metrics import Metrics
from service.predictor import Answer, Predictor, Query
from service.registry import Refusal, Registry, ServedModel

ANSWER = Answer(
    model="flowers",
    version=3,
    results=[[("rose", 0.75), ("tulip", 0.25)]],
    timings=Timings(decode_ms=0.5, queue_ms=0.25, inference_ms=2.0, total_ms=3.0),
)


TRIALS = [
    Trial("openvino", "model.onnx", 1, 1, 250.0, is_chosen=True),
    Trial("onnxruntime", "model.onnx", 1, 1, refusal="engine onnxruntime is not installed"),
]


class FakeEngine:
    """Every image is of the first of two classes."""

    name = "openvino"
    trouble = ""
    artifact = "model.onnx"
    is_single = True
    num_streams = 1

    def run(self, images_nhwc: Images, deadline: float = NEVER) -> Scores:
        return np.tile(np.array([0.75, 0.25], np.float32), (len(images_nhwc), 1))

    def close(self) -> None:
        pass


class FunctionEngine(FakeEngine):
    """Answers with what the function makes of the images; the function may wait or raise."""

    def __init__(self, answer: Callable[[Images], Scores], *, artifact: str = "model.onnx") -> None:
        self.answer = answer
        self.artifact = artifact

    def run(self, images_nhwc: Images, deadline: float = NEVER) -> Scores:
        return self.answer(images_nhwc)


class FakePredictor(Predictor):
    """Answers with the outcome, or raises it; with `is_stuck` it never answers, and notes that it was cancelled."""

    def __init__(self, outcome: Answer | Exception = ANSWER, *, is_stuck: bool = False) -> None:
        self.outcome = outcome
        self.is_stuck = is_stuck
        self.queries: list[Query] = []
        self.is_asked = asyncio.Event()
        self.is_cancelled = asyncio.Event()
        self.admission = Admission(limit_images=512, limit_bytes=1024 * 1024)
        self.room_error: Exception | None = None
        """Raised before a raw body is read."""

    def require_room(self, query: Query, num_bytes: int) -> None:
        if self.room_error:
            raise self.room_error

    async def classify(self, query: Query) -> Answer:
        self.queries.append(query)
        self.is_asked.set()
        if self.is_stuck:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.is_cancelled.set()
                raise
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    async def classify_when_room(self, query: Query) -> Answer:
        return await self.classify(query)


class FakeRegistry(Registry):
    """Serves what it was given; ready unless it was given reasons."""

    def __init__(
        self, served: Sequence[ServedModel] = (), reasons: Sequence[str] = (), refused: Sequence[Refusal] = ()
    ) -> None:
        self.refused = list(refused)
        self.served = list(served)
        self.reasons = list(reasons)

    def get(self, name: str, version: int = 0, label: str = "") -> ServedModel:
        for model in self.served:
            if label and label in model.labels:
                return model
            if (
                not label
                and model.manifest.name == name
                and (model.manifest.version == version or (not version and model.is_default))
            ):
                return model
        raise NotFoundError(f"version {version} of model {name!r} is not served")

    def models(self) -> list[ServedModel]:
        return self.served

    def unready_reasons(self) -> list[str]:
        return self.reasons

    def refusals(self) -> list[Refusal]:
        return self.refused

    def warnings(self) -> list[str]:
        return list(map(str, self.refused))


def served_model(manifest: Manifest, metrics: Metrics, *, is_default: bool = True) -> ServedModel:
    """A model that is in no folder, with a fake engine."""
    engine = FakeEngine()
    model = Model(Bundle(Path("nowhere"), manifest), Choice(engine, 1, TRIALS), ModelOptions())
    return ServedModel(model, Batcher(model.decode, engine), metrics.add_model(manifest, TRIALS, lambda: 0), is_default)
