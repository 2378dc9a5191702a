"""Lets a gRPC call through where its token opens the method; what is not named here is not open."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import grpc

from cnnsvc.errors import CnnsvcError
from service.access import Access, Scope
from service.frontends.grpc_boundary import Context, name_call, refuse
from service.metrics import Metrics

OPEN_SERVICES: Final = ("/grpc.health.v1.Health/", "/grpc.reflection.v1alpha.ServerReflection/")
"""Orchestrators and load balancers have no token, and the description of the API is no secret."""
_OPEN_METHODS: Final = frozenset(
    {"/inference.GRPCInferenceService/ServerLive", "/inference.GRPCInferenceService/ServerReady"}
)
_ADMIN_METHODS: Final = frozenset(
    {
        "/tensorflow.serving.ModelService/HandleReloadConfigRequest",
        "/inference.GRPCInferenceService/RepositoryModelLoad",
        "/inference.GRPCInferenceService/RepositoryModelUnload",
    }
)


def scope_of(method: str) -> Scope | None:
    """What opens a method such as /cnnsvc.v1.Classifier/Classify, unknown ones included; None is open to all."""
    if method.startswith(OPEN_SERVICES) or method in _OPEN_METHODS:
        return None
    return Scope.ADMIN if method in _ADMIN_METHODS else Scope.CLASSIFY


class GrpcGate(grpc.aio.ServerInterceptor):
    def __init__(self, access: Access, metrics: Metrics) -> None:
        self._access = access
        self._metrics = metrics

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable["grpc.RpcMethodHandler[Any, Any] | None"]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        needed = scope_of(handler_call_details.method)
        if needed is not None and not self._access.is_public(needed):
            given = [value for key, value in handler_call_details.invocation_metadata or () if key == "authorization"]
            try:
                self._access.check(str(given[0]) if len(given) == 1 else "", needed)
            except CnnsvcError as error:
                return _refusing(error, self._metrics)
        return await continuation(handler_call_details)


def _refusing(error: CnnsvcError, metrics: Metrics) -> "grpc.RpcMethodHandler[Any, Any]":
    """Answers before a message is read, whatever kind of call it is."""

    async def end(request_iterator: AsyncIterator[bytes], context: Context) -> None:
        name_call(context)
        try:
            with metrics.request("grpc", "authorize", context):
                raise error
        except CnnsvcError:
            await refuse(context, error)

    return grpc.stream_stream_rpc_method_handler(end)
