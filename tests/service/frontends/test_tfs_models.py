"""States of versions as TensorFlow Serving tells them, from those of an operator's view."""

import asyncio
from typing import Any

import pytest

from cnnsvc.errors import NotFoundError
from cnnsvc.pb import tfs_pb2 as pb
from service.admin import ModelStatus, VersionStatus
from service.frontends.grpc_calls import GrpcCalls
from service.frontends.tfs_models import version_statuses
from service.frontends.tfs_models_grpc import TfsModels
from tests.service.frontends.test_tfs_reload import NotingAdmin, reload_request
from tests.service.frontends.tfs_rooms import TfsRooms, opened


def _version(version: int, state: Any, reason: str = "") -> VersionStatus:
    return VersionStatus(version, state, False, [], "", "", reason, 0, 0)


def _status(name: str) -> ModelStatus:
    if name != "flowers":
        raise NotFoundError("there is none")
    versions = [
        _version(6, "available"),
        _version(5, "loading"),
        _version(4, "serving"),
        _version(3, "standby"),
        _version(2, "refused", "its hash is another"),
        _version(1, "withdrawn", "an operator unloaded it"),
    ]
    return ModelStatus(name, "latest:1", {}, {}, versions)


async def test_every_state_has_one() -> None:
    """What loads is LOADING, what answers AVAILABLE, what failed or was taken out has ended with a reason."""
    async with opened(TfsRooms()) as rooms:
        spec = pb.ModelSpec(name="flowers")
        states = pb.ModelVersionStatus
        found = version_statuses(rooms.registry, _status, spec).model_version_status
        assert [(one.version, one.state, one.status.error_code, one.status.error_message) for one in found] == [
            (5, states.LOADING, 0, ""),
            (4, states.AVAILABLE, 0, ""),
            (3, states.AVAILABLE, 0, ""),
            (2, states.END, 13, "its hash is another"),
            (1, states.END, 10, "an operator unloaded it"),
        ]
        with pytest.raises(NotFoundError, match="Could not find any versions of model roses"):
            version_statuses(rooms.registry, _status, pb.ModelSpec(name="roses"))


class SlowAdmin(NotingAdmin):
    def __init__(self) -> None:
        super().__init__()
        self.may_end = asyncio.Event()
        self.has_ended = asyncio.Event()

    async def configure(self, configs: Any) -> None:
        await self.may_end.wait()
        self.has_ended.set()


class Call:
    """As much of gRPC's context as an answered call needs."""

    def invocation_metadata(self) -> Any:
        return ()

    def set_trailing_metadata(self, metadata: Any) -> None:
        pass

    def time_remaining(self) -> None:
        return None


async def test_a_change_goes_on_without_its_caller() -> None:
    """A caller that goes away leaves no half of a configuration."""
    async with opened(TfsRooms()) as rooms:
        admin = SlowAdmin()
        models = TfsModels(rooms.registry, GrpcCalls(rooms.metrics), None, admin)
        context: Any = Call()
        call = asyncio.create_task(models.HandleReloadConfigRequest(reload_request().SerializeToString(), context))
        await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        admin.may_end.set()
        await asyncio.wait_for(admin.has_ended.wait(), 1)
