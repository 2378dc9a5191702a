"""Models as TensorFlow Serving's clients name them, what is missing in its words, and the states of versions."""

from collections.abc import Callable, Iterator
from typing import Final

from cnnsvc.errors import InvalidError, NotFoundError
from cnnsvc.pb import tfs_pb2 as pb
from service.admin import ModelStatus
from service.registry import Registry, ServedModel

StatesOf = Callable[[str], ModelStatus]
"""Every version of a model with its state. Raises NotFoundError."""

_State = pb.ModelVersionStatus
STATES: "Final[dict[str, pb.ModelVersionStatus.State]]" = {
    "serving": _State.AVAILABLE,
    "standby": _State.AVAILABLE,
    "loading": _State.LOADING,
    "refused": _State.END,
    "withdrawn": _State.END,
}
"""By service.admin.VersionState; what lies in the folder and is not wanted, TensorFlow Serving does not know."""
_OK, _ABORTED, _INTERNAL = 0, 10, 13
CODE_NAMES: Final = {_OK: "OK", _ABORTED: "ABORTED", _INTERNAL: "INTERNAL"}
"""By number of google.rpc.Code."""
_CODES: Final = {"refused": _INTERNAL, "withdrawn": _ABORTED}


def find_model(registry: Registry, spec: "pb.ModelSpec") -> ServedModel:
    """To be used before the next `await`. Raises InvalidError, NotFoundError or NotReadyError."""
    name = spec.name
    if not name:
        raise InvalidError(f"ModelSpec has no name specified. Served are {', '.join(registry.names()) or 'none'}")
    choice = spec.WhichOneof("version_choice")
    if choice == "version":
        asked = f"Specific({name[:80]}, {spec.version.value})"
        found = _get(registry, name, version=spec.version.value) if spec.version.value > 0 else None
    else:
        asked = f"Latest({name[:80]})"
        found = _get(registry, name)
        if found and choice == "version_label":
            return _labelled(registry, name, spec.version_label)
    if found is None:
        raise NotFoundError(f"Servable not found for request: {asked}")
    return found


def still_served(registry: Registry, spec: "pb.ModelSpec", served: ServedModel) -> ServedModel:
    """The model that was found, or what answers in its place where it has gone since. Raises as find_model."""
    manifest = served.manifest
    return served if registry.versions(manifest.name).get(manifest.version) is served else find_model(registry, spec)


def spec_of(served: ServedModel, signature_name: str = "") -> "pb.ModelSpec":
    """The version that answers, whatever was asked for."""
    spec = pb.ModelSpec(name=served.manifest.name, signature_name=signature_name)
    spec.version.value = served.manifest.version
    return spec


def version_statuses(
    registry: Registry, states_of: StatesOf | None, spec: "pb.ModelSpec"
) -> "pb.GetModelStatusResponse":
    """Newest first. Raises InvalidError, NotFoundError."""
    if not spec.name:
        raise InvalidError("Missing model name in request.")
    choice = spec.WhichOneof("version_choice")
    wanted = spec.version.value if choice == "version" else None
    if choice == "version_label":
        wanted = find_model(registry, spec).manifest.version
    statuses = dict(_followed(states_of, spec.name) if states_of else _loaded(registry, spec.name))
    if wanted is not None:
        if wanted not in statuses:
            raise NotFoundError(f"Could not find version {wanted} of model {spec.name[:80]}")
        statuses = {wanted: statuses[wanted]}
    if not statuses:
        raise NotFoundError(f"Could not find any versions of model {spec.name[:80]}")
    return pb.GetModelStatusResponse(model_version_status=[statuses[key] for key in sorted(statuses, reverse=True)])


def _get(registry: Registry, name: str, version: int = 0, label: str = "") -> ServedModel | None:
    try:
        return registry.get(name, version, label)
    except NotFoundError:
        return None


def _labelled(registry: Registry, name: str, label: str) -> ServedModel:
    found = _get(registry, name, label=label) if label else None
    if found is None:
        raise InvalidError(f"Unrecognized servable version label: {label[:80]}")
    return found


def _followed(states_of: StatesOf, name: str) -> "Iterator[tuple[int, pb.ModelVersionStatus]]":
    try:
        versions = states_of(name).versions
    except NotFoundError:
        return
    for one in versions:
        if one.state in STATES:
            yield one.version, _status(one.version, one.state, one.reason)


def _loaded(registry: Registry, name: str) -> "Iterator[tuple[int, pb.ModelVersionStatus]]":
    """Where one bundle is served and no folder is followed."""
    for refusal in registry.refusals():
        if refusal.name == name:
            yield refusal.version, _status(refusal.version, "refused", refusal.reason)
    for version in registry.versions(name):
        yield version, _status(version, "serving", "")


def _status(version: int, state: str, reason: str) -> "pb.ModelVersionStatus":
    code = _CODES.get(state, _OK)
    status = pb.StatusProto(error_code=code, error_message=reason if code else "")
    return pb.ModelVersionStatus(version=version, state=STATES[state], status=status)
