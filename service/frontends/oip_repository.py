"""The model repository of Triton's extension: what is there, and an operator's loading and unloading of versions."""

import logging
from typing import Final

from cnnsvc.errors import ConflictError, InvalidError, UnimplementedError
from cnnsvc.pb import oip_pb2 as pb
from service.access import current_caller
from service.admin import Admin, ModelStatus
from service.frontends.http_messages import MAX_VERSION
from service.frontends.http_parameters import read_integer, shown
from service.frontends.oip_query import Parameters
from service.registry import Registry

_NAMES: Final = ("version", "unload_dependents")
_log = logging.getLogger("cnnsvc.admin")


def repository_index(registry: Registry, *, only_ready: bool) -> pb.RepositoryIndexResponse:
    """Every version that is served or refused."""
    found = [(one.manifest.name, one.manifest.version, "READY", "") for one in registry.models()]
    if not only_ready:
        found += [(one.name, one.version, "UNAVAILABLE", one.reason) for one in registry.refusals()]
    entry = pb.RepositoryIndexResponse.ModelIndex
    return pb.RepositoryIndexResponse(
        models=[
            entry(name=name, version=str(version), state=state, reason=reason)
            for name, version, state, reason in sorted(found)
        ]
    )


async def load(admin: Admin | None, name: str, parameters: Parameters) -> ModelStatus:
    """The version that the parameter of that name says, else the newest one in the folder.

    Raises UnimplementedError where there is no admin API, InvalidError, and what Admin.load does.
    """
    door, version = _admin(admin), _version(parameters)
    status = await (door.load(name, version) if version else door.load_newest(name))
    _tell("load", name)
    return status


async def unload(admin: Admin | None, name: str, parameters: Parameters) -> ModelStatus:
    """The version that the parameter of that name says. Raises as load does, and ConflictError without a version."""
    door, version = _admin(admin), _version(parameters)
    if not version:
        serving = [one.version for one in door.show(name).versions if one.state in ("serving", "standby")]
        raise ConflictError(
            f"model {name} serves {sorted(serving)}, and is never taken out of service as a whole; name one of several"
            " versions in the parameter version"
        )
    status = await door.unload(name, version)
    _tell("unload", name)
    return status


def _admin(admin: Admin | None) -> Admin:
    if admin is None:
        raise UnimplementedError(
            "this server loads and unloads nothing on demand: that belongs to its admin API, which there is only"
            " with tokens and a folder of models"
        )
    return admin


def _version(parameters: Parameters) -> int:
    """0 where none is named. Raises InvalidError."""
    for name in parameters:
        if name not in _NAMES:
            raise InvalidError(
                f"parameter {shown(name)} is not offered; a version in the folder of models is loaded as it lies there"
            )
    version = parameters.get("version")
    return 0 if version is None else read_integer("parameter version", str(version), 1, MAX_VERSION)


def _tell(act: str, name: str) -> None:
    fields = {"act": act, "model": name, "caller": current_caller()}
    _log.info("%(act)s of model %(model)s by %(caller)s", fields, extra=fields)
