"""The health that gRPC's standard service reports, for the whole server and our service by name: our readiness."""

from grpc_health.v1 import health, health_pb2

from cnnsvc.pb import classifier_pb2

CLASSIFIER_SERVICE = classifier_pb2.DESCRIPTOR.services_by_name["Classifier"].full_name


async def report(servicer: health.aio.HealthServicer, *, is_ready: bool) -> None:
    """Sets SERVING or NOT_SERVING; after `enter_graceful_shutdown` it stays NOT_SERVING."""
    status = health_pb2.HealthCheckResponse.SERVING if is_ready else health_pb2.HealthCheckResponse.NOT_SERVING
    for service in ("", CLASSIFIER_SERVICE):
        await servicer.set(service, status)
