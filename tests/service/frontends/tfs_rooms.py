"""TensorFlow Serving's dialect over a real predictor and registry, and an engine whose answers can be reckoned."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from cnnsvc.bundle import Bundle
from cnnsvc.engines.base import Images, Scores
from cnnsvc.engines.choice import Choice
from cnnsvc.model import Model, ModelOptions
from cnnsvc.pixels import decode
from service.access import Access
from service.admin import Admin
from service.batcher import Batcher
from service.frontends.dialects import Rooms, dialect_routes
from service.frontends.http_app import build_http_app
from service.frontends.http_call import CallLimits
from service.frontends.native_stream import StreamLimits
from service.frontends.tfs_models import StatesOf
from service.metrics import Metrics
from service.predictor import Predictor, PredictorLimits
from service.registry import Registry, ServedModel
from tests.bundles import SHAPE, manifest_of
from tests.fakes import TRIALS, FunctionEngine

MAX_IMAGES = 4
LIMITS = CallLimits(body_limit_bytes=200_000, max_images_per_call=MAX_IMAGES, request_timeout_ms=5_000)


def scores_of(images_nhwc: Images) -> Scores:
    """Three classes, by the means of the channels."""
    means = images_nhwc.mean(axis=(1, 2)).astype(np.float32)
    scores: Scores = np.exp(means / 64) / np.exp(means / 64).sum(axis=1, keepdims=True)
    return scores


def scores_of_encoded(images: list[bytes]) -> Scores:
    return scores_of(np.stack([pixels_of_encoded(image) for image in images]))


def pixels_of_encoded(image: bytes) -> NDArray[np.uint8]:
    return decode(image, SHAPE.height, SHAPE.width, SHAPE.channels)


class TfsRooms:
    """Two versions of the model flowers, the first with the label old, the second the default one."""

    def __init__(self, *, predictor: Predictor | None = None, admin: Admin | None = None, access: Access | None = None):
        self.prometheus = CollectorRegistry()
        self.metrics = Metrics(self.prometheus, version="test")
        self.registry = Registry(self.metrics)
        for version in (1, 2):
            self.registry.put(_served(version, self.metrics))
        self.registry.route("flowers", 2, {"old": 1}, {})
        self.registry.set_loaded()
        self.predictor = predictor or Predictor(self.registry, PredictorLimits(8, MAX_IMAGES, 10_000))
        states_of: StatesOf | None = admin.show if admin else None
        self.rooms = Rooms(self.predictor, self.registry, self.metrics, LIMITS, StreamLimits(1, 1), admin, states_of)
        self.app = build_http_app(
            self.predictor,
            self.registry,
            self.metrics,
            LIMITS,
            access=access,
            dialects=dialect_routes(self.rooms),
        )
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://cnnsvc")

    def num_calls(self, protocol: str, method: str, code: str, version: str = "") -> float:
        model = "flowers" if version else ""
        labels = {"protocol": protocol, "method": method, "model": model, "version": version, "code": code}
        return self.prometheus.get_sample_value("cnnsvc_request_duration_seconds_count", labels) or 0.0


@asynccontextmanager
async def opened(rooms: TfsRooms) -> AsyncIterator[TfsRooms]:
    yield rooms
    await rooms.http.aclose()
    await asyncio.to_thread(rooms.registry.close)


def _served(version: int, metrics: Metrics) -> ServedModel:
    manifest = msgspec.structs.replace(manifest_of(), version=version)
    engine = FunctionEngine(scores_of)
    model = Model(Bundle(Path("nowhere"), manifest), Choice(engine, 1, TRIALS), ModelOptions())
    return ServedModel(model, Batcher(model.decode, engine), metrics.add_model(manifest, TRIALS, lambda: 0))
