"""The foreign protocols that are offered beside our own, over both doors."""

from dataclasses import dataclass

from starlette.routing import Route

from service.admin import Admin
from service.frontends.grpc_calls import GrpcCalls
from service.frontends.grpc_service import GrpcService
from service.frontends.http_call import CallLimits
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
    admin: Admin | None = None
    """None where nobody may decide anything, or there is nothing to decide."""


def dialect_routes(rooms: Rooms) -> list[Route]:
    """Below /v1/ those of TensorFlow Serving, below /v2/ those of the Open Inference protocol."""
    return []


def dialect_services(rooms: Rooms, calls: GrpcCalls) -> list[GrpcService]:
    return []
