"""tensorflow.serving.ModelService over gRPC: states of versions, and what an operator may change by a config."""

import asyncio
import logging

from cnnsvc.errors import InvalidError
from cnnsvc.pb import tfs_pb2 as pb
from service.access import current_caller
from service.admin import Admin
from service.frontends.grpc_boundary import Context, parse
from service.frontends.grpc_calls import GrpcCalls
from service.frontends.grpc_service import GrpcService
from service.frontends.tfs_models import StatesOf, version_statuses
from service.frontends.tfs_reload import reload_config
from service.health import TFS_MODEL_SERVICE
from service.metrics import ObservedRequest
from service.registry import Registry

_log = logging.getLogger("cnnsvc.admin")


class TfsModels:
    def __init__(self, registry: Registry, calls: GrpcCalls, states_of: StatesOf | None, admin: Admin | None) -> None:
        self._registry = registry
        self._calls = calls
        self._states_of = states_of
        self._admin = admin

    def service(self) -> GrpcService:
        return GrpcService(
            TFS_MODEL_SERVICE,
            pb.DESCRIPTOR,
            {
                "GetModelStatus": self.GetModelStatus,
                "HandleReloadConfigRequest": self.HandleReloadConfigRequest,
            },
        )

    async def GetModelStatus(  # noqa: N802  # its name in the .proto
        self, request_bytes: bytes, context: Context
    ) -> pb.GetModelStatusResponse | None:
        async def answer(observed: ObservedRequest) -> pb.GetModelStatusResponse:
            request = parse(pb.GetModelStatusRequest, request_bytes)
            if not request.HasField("model_spec"):
                raise InvalidError("Missing ModelSpec")
            return version_statuses(self._registry, self._states_of, request.model_spec)

        return await self._calls.serve("tfs_get_model_status", context, answer)

    async def HandleReloadConfigRequest(  # noqa: N802  # as above
        self, request_bytes: bytes, context: Context
    ) -> pb.ReloadConfigResponse | None:
        async def answer(observed: ObservedRequest) -> pb.ReloadConfigResponse:
            request = parse(pb.ReloadConfigRequest, request_bytes)
            working = asyncio.create_task(reload_config(self._admin, request))
            working.add_done_callback(_retrieve)
            await asyncio.shield(working)  # half a change would remain of a caller that goes away
            fields = {"act": "reload_config", "caller": current_caller()}
            _log.info("%(act)s by %(caller)s", fields, extra=fields)
            return pb.ReloadConfigResponse(status=pb.StatusProto())

        return await self._calls.serve("tfs_reload_config", context, answer)


def _retrieve(working: asyncio.Task[None]) -> None:
    """Nobody may be left to hear what went wrong."""
    if not working.cancelled():
        working.exception()
