"""The health that gRPC's standard service reports, for the whole server and each service by name: our readiness."""

import asyncio
from typing import Any

from grpc_health.v1 import health, health_pb2

from cnnsvc.pb import classifier_pb2

CLASSIFIER_SERVICE = classifier_pb2.DESCRIPTOR.services_by_name["Classifier"].full_name
TFS_PREDICTION_SERVICE = "tensorflow.serving.PredictionService"
TFS_MODEL_SERVICE = "tensorflow.serving.ModelService"
OPEN_INFERENCE_SERVICE = "inference.GRPCInferenceService"
SERVICES = (
    "",
    CLASSIFIER_SERVICE,
    OPEN_INFERENCE_SERVICE,
    *(TFS_PREDICTION_SERVICE, TFS_MODEL_SERVICE),
    # By these TensorFlow Serving's own health goes.
    *("PredictionService", "ModelService"),
)
"""That health knows by name."""


class Health(health.aio.HealthServicer):
    """The packaged one, whose watchers are written to outside of its lock.

    Inside of it (grpcio-health-checking 1.85) one watcher that reads nothing holds up every change of health, and with
    the last one the end of the server.
    """

    # Of the packaged class, whose stubs do not name them.
    _server_status: dict[str, Any]
    _server_watchers: dict[str, asyncio.Condition]
    _watcher_count_by_service: dict[str, int]

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Any) -> None:  # noqa: N802  # gRPC's name
        service = request.service
        told: Any = None
        condition = self._server_watchers[service]
        self._watcher_count_by_service[service] += 1
        try:
            while True:
                async with condition:
                    while (status := self._status(service)) == told:
                        await condition.wait()
                told = status
                await context.write(health_pb2.HealthCheckResponse(status=told))
        finally:
            self._watcher_count_by_service[service] -= 1
            if not self._watcher_count_by_service[service]:
                del self._server_watchers[service], self._watcher_count_by_service[service]

    def _status(self, service: str) -> Any:
        return self._server_status.get(service, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)


async def report(servicer: health.aio.HealthServicer, *, is_ready: bool) -> None:
    """Sets SERVING or NOT_SERVING; after `enter_graceful_shutdown` it stays NOT_SERVING."""
    status = health_pb2.HealthCheckResponse.SERVING if is_ready else health_pb2.HealthCheckResponse.NOT_SERVING
    for service in SERVICES:
        await servicer.set(service, status)
