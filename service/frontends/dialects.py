"""The foreign protocols that are offered beside our own, over both doors."""

from dataclasses import dataclass

from starlette.routing import Route

from service.admin import Admin
from service.frontends.grpc_calls import GrpcCalls
from service.frontends.grpc_service import GrpcService
from service.frontends.http_call import CallLimits
from service.frontends.native_stream import StreamLimits
from service.frontends.oip_grpc import OpenInference
from service.frontends.oip_http import OpenInferenceDoor
from service.frontends.tfs_grpc import TfsPrediction
from service.frontends.tfs_models import StatesOf
from service.frontends.tfs_models_grpc import TfsModels
from service.frontends.tfs_rest import TfsRest
from service.metrics import Metrics
from service.predictor import Predictor
from service.registry import Registry


@dataclass(frozen=True)
class Rooms:
    """What a front-end answers with."""

    predictor: Predictor
    registry: Registry
    metrics: Metrics
    limits: CallLimits
    stream_limits: StreamLimits
    admin: Admin | None = None
    """None where nobody may decide anything, or there is nothing to decide."""
    states_of: StatesOf | None = None
    """None where one bundle is served and no folder is followed."""


def dialect_routes(rooms: Rooms) -> list[Route]:
    """Below /v1/ those of TensorFlow Serving, below /v2/ those of the Open Inference protocol."""
    tfs = TfsRest(rooms.predictor, rooms.registry, rooms.metrics, rooms.limits, rooms.states_of)
    open_inference = OpenInferenceDoor(rooms.predictor, rooms.registry, rooms.metrics, rooms.limits, rooms.admin)
    return [*tfs.routes(), *open_inference.routes()]


def dialect_services(rooms: Rooms, calls: GrpcCalls) -> list[GrpcService]:
    most = rooms.limits.max_images_per_call
    prediction = TfsPrediction(rooms.predictor, rooms.registry, calls, most)
    models = TfsModels(rooms.registry, calls, rooms.states_of, rooms.admin)
    open_inference = OpenInference(
        rooms.predictor,
        rooms.registry,
        rooms.metrics,
        calls,
        rooms.admin,
        max_images=most,
        stream_limits=rooms.stream_limits,
    )
    return [prediction.service(), models.service(), open_inference.service()]
