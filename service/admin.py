"""What an operator may do with the models of a running service, and sees of them."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from cnnsvc.errors import ConflictError, Fault, InvalidError, NotFoundError
from service.reconfiguration import ModelConfig, Reconfiguration
from service.registry import Registry
from service.rollback import Rollbacks
from service.rollout import STABLE, Rollout
from service.service_state import ModelState, StateStore

VersionState = Literal["serving", "standby", "loading", "refused", "withdrawn", "available"]

LABEL_PATTERN: Final = "^[A-Za-z][A-Za-z0-9_.-]{0,63}$"
MAX_WEIGHT: Final = 1_000_000
_LABEL: Final = re.compile(LABEL_PATTERN)
_UNLOADED: Final = "an operator unloaded it"


class VersionStatus(msgspec.Struct, frozen=True):
    """One version of a model, as the worker that answers has it."""

    version: int
    state: Annotated[
        VersionState,
        Meta(
            description="serving; standby: loaded since its successor is on probation; loading; refused: it must not be"
            " served; withdrawn: taken out of service; available: in the folder, and not wanted."
        ),
    ]
    is_default: Annotated[bool, Meta(description="Whether it answers calls that name neither version nor label.")]
    labels: list[str]
    engine: Annotated[str, Meta(description="Empty where it is not loaded.")]
    artifact: str
    reason: Annotated[str, Meta(description="The same in full; empty where nothing is.")]
    num_answered: Annotated[int, Meta(description="Images that it answered since it was loaded.")]
    num_failed: Annotated[int, Meta(description="Images that it failed since then, by our own fault.")]
    fault: (
        Annotated[Fault, Meta(description="What is wrong with it, in one word; absent where nothing is.")] | UnsetType
    ) = UNSET


class ModelStatus(msgspec.Struct, frozen=True):
    """One model with every version that is served or lies in the folder."""

    name: str
    policy: Annotated[str, Meta(description="Which versions are served: latest:N, all, or their numbers.")]
    labels: dict[str, int]
    split: Annotated[
        dict[str, int],
        Meta(
            description="Weights by label, for calls that name neither version nor label; empty: the default answers."
        ),
    ]
    versions: list[VersionStatus]


class ModelStatusList(msgspec.Struct, frozen=True):
    """Every model."""

    models: list[ModelStatus]
    warnings: Annotated[list[str], Meta(description="What is wrong and not in the way of serving.")]


class Admin:
    """Each change is kept in the state of the service first; other workers follow within a second."""

    def __init__(self, registry: Registry, rollout: Rollout, rollbacks: Rollbacks, store: StateStore) -> None:
        self._registry = registry
        self._rollout = rollout
        self._rollbacks = rollbacks
        self._store = store

    def list_models(self) -> ModelStatusList:
        self._store.refresh()
        return ModelStatusList([self._status(name) for name in self._rollout.names()], self._registry.warnings())

    def show(self, name: str) -> ModelStatus:
        """Raises NotFoundError."""
        self._check_name(name)
        return self._status(name)

    async def load(self, name: str, version: int) -> ModelStatus:
        """Serves a version whatever the policy says, proven first. Raises ConflictError where it is refused."""
        await self._rollout.refresh()
        self._check_name(name)
        if version not in self._rollout.found(name) and version not in self._registry.versions(name):
            found = sorted(self._rollout.found(name))
            raise NotFoundError(f"version {version} of model {name} is not in the folder of models; there are {found}")
        if refusal := await self._rollout.load(name, version, is_on_probation=True):
            raise ConflictError(str(refusal))
        self._rollbacks.pin(name, version)
        self._rollout.follow_model(name)
        return self._status(name)

    async def load_newest(self, name: str) -> ModelStatus:
        """As load, for the newest version in the folder."""
        await self._rollout.refresh()
        self._check_name(name)
        if not (found := self._rollout.found(name)):
            raise NotFoundError(f"model {name} has no version in the folder of models")
        return await self.load(name, max(found))

    async def unload(self, name: str, version: int) -> ModelStatus:
        """Takes a version out of service. Raises ConflictError for the last one, and one that has a label."""
        self._check_served(name, version)

        def check(state: ModelState) -> None:
            if labels := [label for label, number in state.labels.items() if number == version]:
                raise ConflictError(
                    f"version {version} of model {name} has the labels {', '.join(labels)}; move or delete them first"
                )
            if not {number for number in self._registry.versions(name) if number not in state.withdrawn} - {version}:
                raise ConflictError(
                    f"version {version} is the last of model {name} that serves; load another one first, or roll back"
                )

        self._rollbacks.withdraw(name, [version], _UNLOADED, check=check)
        self._rollout.follow_model(name)
        return self._status(name)

    async def label(self, name: str, label: str, version: int) -> ModelStatus:
        """Points a label to a version that is served. Raises ConflictError for any other, InvalidError."""
        _check_label(label)
        self._check_served(name, version)

        def decide(state: ModelState) -> ModelState:
            if version in state.withdrawn and self._rollout.withdrawal(name, version):
                raise ConflictError(f"version {version} of model {name} is withdrawn; load it first")
            return msgspec.structs.replace(state, labels={**state.labels, label: version})

        return self._decide(name, decide)

    async def unlabel(self, name: str, label: str) -> ModelStatus:
        """Raises NotFoundError for a label that is not there, ConflictError for one that a split names."""
        self._check_name(name)

        def decide(state: ModelState) -> ModelState:
            if label not in state.labels:
                raise NotFoundError(f"model {name} has no label {label[:80]!r}; its labels are {_listed(state.labels)}")
            if label in state.split:
                raise ConflictError(f"label {label} of model {name} has a part in its split; change that first")
            labels = {other: version for other, version in state.labels.items() if other != label}
            return msgspec.structs.replace(state, labels=labels)

        return self._decide(name, decide)

    async def split(self, name: str, weights: dict[str, int]) -> ModelStatus:
        """Deals calls that name neither version nor label over labels by weight; {} ends that. Raises InvalidError."""
        self._check_name(name)
        if weights and (sum(weights.values()) < 1 or not all(0 <= weight <= MAX_WEIGHT for weight in weights.values())):
            raise InvalidError(f"weights are {weights}; expected 0 to {MAX_WEIGHT}, not all of them 0")

        def decide(state: ModelState) -> ModelState:
            if unknown := set(weights) - set(state.labels):
                raise InvalidError(
                    f"model {name} has no label {_listed(unknown)}; its labels are {_listed(state.labels)}"
                )
            return msgspec.structs.replace(state, split=weights)

        return self._decide(name, decide)

    async def roll_back(self, name: str, target: int | None = None) -> ModelStatus:
        """Goes back from the default version to another one: the one before, unless it is named.

        Raises ConflictError where there is none, or it cannot be served.
        """
        self._check_name(name)
        default = self._registry.default(name)
        if default is None:
            raise ConflictError(f"model {name} has no version that serves")
        current = default.manifest.version
        target = target or self._rollout.previous(name)
        if target is None or target == current:
            raise ConflictError(f"model {name} has no version to go back to from version {current}")
        known = {*self._registry.versions(name), *self._rollout.found(name)}
        if target not in known:
            raise NotFoundError(f"version {target} of model {name} is not there; there are {sorted(known)}")
        is_labelled = STABLE in self._store.state.model(name).labels
        # Without the label the newest version answers by default, so none above the target may stay.
        versions = {current} if is_labelled else {current, *(number for number in known if number > target)}
        await self._rollbacks.roll_back(name, versions, target, f"rolled back to version {target}", "operator")
        return self._status(name)

    async def configure(self, configs: Sequence[ModelConfig]) -> None:
        """Replaces policies and labels of all models. Raises InvalidError, NotFoundError or ConflictError."""
        for config in configs:
            for label in config.labels:
                _check_label(label)
        await Reconfiguration(self._registry, self._rollout, self._store).apply(configs)

    def _decide(self, name: str, decide: Callable[[ModelState], ModelState]) -> ModelStatus:
        self._store.change(name, decide)
        self._rollout.follow_model(name)
        return self._status(name)

    def _status(self, name: str) -> ModelStatus:
        state = self._store.state.model(name)
        refused = {refusal.version for refusal in self._registry.refusals() if refusal.name == name}
        versions = {*self._registry.versions(name), *self._rollout.found(name), *refused}
        return ModelStatus(
            name,
            str(self._rollout.policy(name)),
            state.labels,
            state.split,
            [self._version(name, version) for version in sorted(versions, reverse=True)],
        )

    def _version(self, name: str, version: int) -> VersionStatus:
        served = self._registry.versions(name).get(version)
        withdrawn, refusal = self._rollout.withdrawal(name, version), self._registry.refusal(name, version)
        state: VersionState = "available"
        if served:
            state = "standby" if self._rollout.is_standby(name, version) else "serving"
        elif self._rollout.is_loading(name, version):
            state = "loading"
        elif withdrawn or refusal:
            state = "withdrawn" if withdrawn else "refused"
        fault = Fault.WITHDRAWN if withdrawn else refusal.fault if refusal else UNSET
        labels = self._store.state.model(name).labels
        return VersionStatus(
            version,
            state,
            is_default=bool(served and served.is_default),
            labels=sorted(label for label, number in labels.items() if number == version),
            engine=served.engine_name if served else "",
            artifact=served.artifact if served else "",
            fault=fault,
            reason=withdrawn.reason if withdrawn else refusal.reason if refusal else "",
            num_answered=served.tally.num_answered if served else 0,
            num_failed=served.tally.num_failed if served else 0,
        )

    def _check_name(self, name: str) -> None:
        """Whatever another worker has decided counts."""
        self._store.refresh()
        if name not in self._rollout.names():
            raise NotFoundError(f"model {name[:80]!r} is not there; there are {_listed(self._rollout.names())}")

    def _check_served(self, name: str, version: int) -> None:
        self._check_name(name)
        if version not in (served := self._registry.versions(name)):
            raise ConflictError(f"version {version} of model {name} is not loaded; loaded are {sorted(served)}")


def _check_label(label: str) -> None:
    """Raises InvalidError."""
    if not _LABEL.fullmatch(label):  # match() would let a newline pass at the end
        raise InvalidError(
            f"label {label[:80]!r} is not allowed; expected a letter and up to 63 letters, digits, '_', '.' or '-'"
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
