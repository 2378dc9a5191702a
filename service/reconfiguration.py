"""A whole new configuration of the models at once: which versions of each are served, and their labels.

Everything is judged before anything is changed, and versions that are named are proven first: a configuration that
cannot be served changes nothing.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from cnnsvc.errors import ConflictError, InvalidError, NotFoundError
from service.registry import Registry
from service.rollout import Rollout
from service.service_state import ModelState, StateStore
from service.version_policy import VersionPolicy


@dataclass(frozen=True)
class ModelConfig:
    name: str
    policy: VersionPolicy | None = None
    """None is the one with which the service was started."""
    labels: Mapping[str, int] = field(default_factory=dict)
    """All of them: others are forgotten."""
    base_path: str = ""
    """The model's folder; "" is wherever it is."""

    @property
    def named_versions(self) -> list[int]:
        return sorted((self.policy.numbers if self.policy else None) or ())


class Reconfiguration:
    def __init__(self, registry: Registry, rollout: Rollout, store: StateStore) -> None:
        self._registry = registry
        self._rollout = rollout
        self._store = store

    async def apply(self, configs: Sequence[ModelConfig]) -> None:
        """Returns once all is served as configured.

        Raises InvalidError for what cannot be configured, NotFoundError for versions that are not there, ConflictError
        for versions that are refused and for labels of versions that are not served.
        """
        await self._rollout.refresh()
        self._store.refresh()
        self._check_names([config.name for config in configs])
        for config in configs:
            self._check(config)
        for config in configs:
            await self._load(config)
        for config in configs:
            self._check_labels(config)
        for config in configs:
            self._store.change(config.name, lambda state, config=config: _configured(state, config))  # type: ignore[misc]
            self._rollout.follow_model(config.name)
        for config in configs:
            await self._rollout.settle(config.name)

    def _check_names(self, names: list[str]) -> None:
        known = self._rollout.names()
        if twice := {name for name in names if names.count(name) > 1}:
            raise InvalidError(f"model {min(twice)[:80]!r} is configured twice; expected each model once")
        if unknown := sorted(set(names) - set(known)):
            raise InvalidError(
                f"model {unknown[0][:80]!r} is not in the folder of models {self._rollout.models_dir};"
                f" there are {', '.join(known) or 'none'}"
            )
        if missing := sorted(set(known) - set(names)):
            raise InvalidError(
                f"the configuration leaves out {', '.join(missing)}, and a model is not unloaded as a whole: name it"
                " too, or take its folder away and start anew"
            )

    def _check(self, config: ModelConfig) -> None:
        expected = os.path.abspath(self._rollout.models_dir / config.name)  # noqa: PTH100  # reads no disk
        if config.base_path and os.path.abspath(config.base_path) != expected:  # noqa: PTH100
            raise InvalidError(
                f"base_path of model {config.name} is {config.base_path[:200]!r}; expected {expected!r} or none: models"
                " are served from one folder"
            )
        known = {*self._rollout.found(config.name), *self._registry.versions(config.name)}
        if absent := sorted(set(config.named_versions) - known):
            raise NotFoundError(
                f"version {absent[0]} of model {config.name} is not in the folder of models; there are {sorted(known)}"
            )

    async def _load(self, config: ModelConfig) -> None:
        for version in config.named_versions:
            if refusal := await self._rollout.load(config.name, version, is_on_probation=True):
                raise ConflictError(str(refusal))

    def _check_labels(self, config: ModelConfig) -> None:
        served = self._registry.versions(config.name)
        for label, version in config.labels.items():
            if version not in served:
                raise ConflictError(
                    f"Request to assign label to version {version} of model {config.name}, which is not currently"
                    f" available for inference: label {label}; available are {sorted(served)}"
                )


def _configured(state: ModelState, config: ModelConfig) -> ModelState:
    asked = {*config.named_versions, *config.labels.values()}
    return msgspec.structs.replace(
        state,
        policy=str(config.policy) if config.policy else "",
        labels=dict(config.labels),
        split={label: weight for label, weight in state.split.items() if label in config.labels},
        loaded=[],
        withdrawn={version: why for version, why in state.withdrawn.items() if version not in asked},
        # A version that is named is tried again by every worker.
        attempts={**state.attempts, **{version: state.attempts.get(version, 0) + 1 for version in asked}},
    )
