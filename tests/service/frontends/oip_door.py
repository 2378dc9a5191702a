"""The Open Inference protocol's HTTP door over fakes: two versions of the model flowers, the second the default."""

import msgspec
import numpy as np
from prometheus_client import CollectorRegistry

from cnnsvc.classification import Timings
from service.admin import Admin
from service.frontends.http_app import build_http_app
from service.frontends.http_call import CallLimits
from service.frontends.oip_http import OpenInferenceDoor
from service.metrics import Metrics
from service.predictor import Answer
from service.registry import Refusal
from tests.bundles import CLASS_NAMES, manifest_of
from tests.fakes import FakePredictor, FakeRegistry, served_model
from tests.service.frontends.http_door import BODY_LIMIT_BYTES, MAX_IMAGES, TIMEOUT_MS, Door

SCORES = np.array([[0.1, 0.7, 0.2], [0.30000001192092896, 0.3, 0.4]], np.float32)


def answer_of(num_images: int) -> Answer:
    return Answer("flowers", 2, [], Timings(0.5, 0.25, 2.0, 3.0), list(SCORES[:num_images]), CLASS_NAMES)


def open_door(
    predictor: FakePredictor | None = None,
    *,
    reasons: tuple[str, ...] = (),
    refused: tuple[Refusal, ...] = (),
    admin: Admin | None = None,
) -> Door:
    metric_registry = CollectorRegistry()
    metrics = Metrics(metric_registry, version="test")
    first = manifest_of()
    served = [
        served_model(first, metrics, is_default=False),
        served_model(msgspec.structs.replace(first, version=2), metrics),
    ]
    served[0].labels = ("stable",)
    registry = FakeRegistry(served, reasons, refused)
    predictor = predictor or FakePredictor(answer_of(1))
    limits = CallLimits(BODY_LIMIT_BYTES, MAX_IMAGES, TIMEOUT_MS)
    dialect = OpenInferenceDoor(predictor, registry, metrics, limits, admin)
    app = build_http_app(predictor, registry, metrics, limits, dialects=dialect.routes())
    return Door(app, predictor, registry, metric_registry)
