"""Name with version or label to a model that answers; of a version that must not answer, why.

It knows nothing of folders: service.rollout decides what is in it.
"""

import math
import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from cnnsvc.errors import Fault, InvalidError, NotFoundError, NotReadyError
from cnnsvc.manifest import Manifest
from cnnsvc.model import Model
from service.batcher import Batcher
from service.metrics import Metrics, ModelMetrics
from service.statistics import Statistics

_SHOWN_NAME: Final = 64
"""Longest name that a model can have: of a longer one only the beginning is repeated to the caller."""


@dataclass
class Tally:
    """Images of one version since it was loaded."""

    num_answered: int = 0
    num_failed: int = 0
    """By a fault of ours, not of the caller's."""


@dataclass(eq=False)
class ServedModel:
    model: Model
    batcher: Batcher
    metrics: ModelMetrics
    is_default: bool = True
    labels: tuple[str, ...] = ()
    tally: Tally = field(default_factory=Tally)
    statistics: Statistics = field(default_factory=Statistics)
    loaded_at: float = 0.0
    """time.monotonic() seconds."""
    is_on_probation: bool = False

    @property
    def manifest(self) -> Manifest:
        return self.model.manifest

    @property
    def engine_name(self) -> str:
        return self.model.engine.name

    @property
    def artifact(self) -> str:
        return self.model.engine.artifact


@dataclass(frozen=True)
class Refusal:
    """Why a version must not answer."""

    name: str
    version: int
    fault: Fault
    reason: str
    fingerprint: str = ""
    """Of its folder when it was refused: it is tried again when that has changed."""
    retry_at: float = math.inf
    """time.monotonic() seconds from when it is tried again as it is."""

    @property
    def is_passing(self) -> bool:
        return self.retry_at < math.inf

    def __str__(self) -> str:
        return f"version {self.version} of model {self.name} is refused: {self.reason}"


@dataclass
class _Line:
    """One model: its versions that answer, and those of its calls that name none."""

    versions: dict[int, ServedModel] = field(default_factory=dict)
    default: int = 0
    labels: Mapping[str, int] = field(default_factory=dict)
    split: Mapping[str, int] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)
    """Labels whose version is not served."""


class Registry:
    """Lives on the event loop."""

    def __init__(self, metrics: Metrics, draw: Callable[[], float] = random.random) -> None:
        """`draw` deals the calls of a weighted split: uniform over 0..1."""
        self._metrics = metrics
        self._draw = draw
        self._lines: dict[str, _Line] = {}
        self._refused: dict[tuple[str, int], Refusal] = {}
        self._troubles: dict[str, str] = {}
        self._required: frozenset[str] = frozenset()
        self._is_loaded = False
        self._is_stopping = False
        metrics.watch_readiness(lambda: not self.unready_reasons())

    def get(self, name: str, version: int = 0, label: str = "") -> ServedModel:
        """The model of that name with that version or label; "" is the only model, without either its default one.

        To be used before the next `await`: after it the version may be gone. Raises InvalidError for both a version
        and a label, NotFoundError, or NotReadyError while bundles are still being loaded.
        """
        if version and label:
            raise InvalidError(f"version {version} and label {label[:_SHOWN_NAME]!r} came; expected one of them")
        line = self._lines.get(name) if name else self._only_line()
        if line:
            number = version or (line.labels.get(label) if label else self._dealt(line))
            if number in line.versions:
                return line.versions[number]
        if not self._is_loaded:
            raise NotReadyError("models are still being loaded")
        if not line:
            if any(refusal.is_passing and name in ("", refusal.name) for refusal in self._refused.values()):
                raise NotReadyError("the model is not served yet: what is to infer it cannot be reached, or lacks it")
            known = ", ".join(sorted(self._lines)) or "none"
            asked = f"model {name[:_SHOWN_NAME]!r} is not served" if name else "no model is named"
            raise NotFoundError(f"{asked}; served are {known}")
        name = next(iter(line.versions.values())).manifest.name
        if label:
            known = ", ".join(sorted(line.labels)) or "none"
            raise NotFoundError(f"model {name!r} has no label {label[:_SHOWN_NAME]!r}; its labels are {known}")
        raise NotFoundError(f"version {version} of model {name!r} is not served; served are {sorted(line.versions)}")

    def models(self) -> list[ServedModel]:
        return [model for name in sorted(self._lines) for _, model in sorted(self._lines[name].versions.items())]

    def names(self) -> list[str]:
        return sorted(self._lines)

    def versions(self, name: str) -> dict[int, ServedModel]:
        """Those of a model that answer; {} for one that is not served."""
        return dict(self._lines[name].versions) if name in self._lines else {}

    def labelled(self, name: str) -> set[int]:
        """Versions to which calls by label go now."""
        return set(self._lines[name].labels.values()) if name in self._lines else set()

    def default(self, name: str) -> ServedModel | None:
        line = self._lines.get(name)
        return line.versions[line.default] if line else None

    def put(self, served: ServedModel) -> ServedModel | None:
        """Lets it answer under its name and version from now on; the one that did so before is to be drained."""
        manifest = served.manifest
        line = self._lines.setdefault(manifest.name, _Line(default=manifest.version))
        before = line.versions.get(manifest.version)
        line.versions[manifest.version] = served
        self.accept(manifest.name, manifest.version)
        self._mark(line)
        return before

    def take(self, name: str, version: int) -> ServedModel:
        """Lets it answer no new call; it is to be drained. The default version stays."""
        line = self._lines[name]
        assert version != line.default, "what answers by default has a successor first"
        served = line.versions.pop(version)
        self._mark(line)
        return served

    def route(self, name: str, default: int, labels: Mapping[str, int], split: Mapping[str, int]) -> None:
        """Says which version answers calls that name none, and those that name a label; all of them are served."""
        line = self._lines[name]
        assert default in line.versions, "only what answers can be the default"
        line.default = default
        # A label goes on pointing to its old version until the new one is loaded.
        targets = {
            label: version if version in line.versions else line.labels.get(label, version)
            for label, version in labels.items()
        }
        line.labels = {label: version for label, version in targets.items() if version in line.versions}
        line.lost = {label: version for label, version in labels.items() if version not in line.versions}
        line.split = {label: weight for label, weight in split.items() if label in line.labels}
        self._mark(line)
        self._metrics.rollout.set_routes(name, default, dict(line.labels))

    def refuse(self, refusal: Refusal) -> None:
        self._refused[refusal.name, refusal.version] = refusal
        self._metrics.rollout.set_refused(refusal.name, refusal.version, refusal.fault)

    def accept(self, name: str, version: int) -> None:
        """Forgets why it was refused."""
        if self._refused.pop((name, version), None):
            self._metrics.rollout.set_refused(name, version, None)

    def refusals(self) -> list[Refusal]:
        return [refusal for _, refusal in sorted(self._refused.items())]

    def refusal(self, name: str, version: int) -> Refusal | None:
        return self._refused.get((name, version))

    def set_troubles(self, troubles: dict[str, str]) -> None:
        """What keeps the folder of models, or those of single models by name, from being read; "" is the folder's."""
        self._troubles = troubles
        self._metrics.rollout.is_folder_readable.set(not troubles)

    @property
    def required(self) -> frozenset[str]:
        """Models without which the service is not ready."""
        return self._required

    @property
    def troubles(self) -> dict[str, str]:
        return self._troubles

    def set_loaded(self) -> None:
        """From now on it can be ready, which all models that are here now must be; those that come later need not."""
        self._required = frozenset(self._lines) | {name for name, _ in self._refused} | set(self._troubles)
        self._is_loaded = True

    def forget(self, names: Collection[str]) -> None:
        """Of these models there is nothing any more: readiness does not wait for them, and what was refused is gone."""
        self._required -= set(names)
        for refusal in self.refusals():
            if refusal.name in names:
                self.accept(refusal.name, refusal.version)

    def unready_reasons(self) -> list[str]:
        """Why the service is not ready: empty once every model of the start has a version that proved itself.

        And while what answers by default is not kept from it by something outside of this machine.
        """
        if self._is_stopping:
            return ["the server is stopping"]
        if not self._is_loaded:
            return ["models are still being loaded"]
        if not self._required and not self._lines:
            return ["no model is there to serve"]
        absent = [self._why_absent(name) for name in sorted(self._required - set(self._lines))]
        defaults = [line.versions[line.default] for line in self._lines.values()]
        # Once, however many models have the same trouble.
        return absent + sorted({served.model.engine.trouble for served in defaults} - {""})

    def begin_stop(self) -> None:
        """Not ready from now on; what is loaded answers until it is closed."""
        self._is_stopping = True

    def warnings(self) -> list[str]:
        """What is wrong and not in the way of serving: versions that are refused, folders that cannot be read."""
        troubles = [f"{name or 'the folder of models'} cannot be read: {why}" for name, why in self._troubles.items()]
        lost = [
            f"label {label} of model {name} points to version {version}, which is not served"
            for name, line in sorted(self._lines.items())
            for label, version in line.lost.items()
        ]
        return [*troubles, *(str(refusal) for refusal in self.refusals()), *lost]

    def close(self) -> None:
        for served in self.models():
            served.batcher.close()

    def _why_absent(self, name: str) -> str:
        """Of several versions that are refused the newest one's reason."""
        if refusals := [refusal for refusal in self.refusals() if refusal.name == name]:
            return str(refusals[-1])
        return f"model {name} has no version to serve: {self._troubles.get(name, 'there is none')}"

    def _dealt(self, line: _Line) -> int:
        if not line.split:
            return line.default
        place = self._draw() * sum(line.split.values())
        for label, weight in line.split.items():
            place -= weight
            if place < 0:
                return line.labels[label]
        return line.default

    def _mark(self, line: _Line) -> None:
        for version, served in line.versions.items():
            served.is_default = version == line.default
            served.labels = tuple(sorted(label for label, number in line.labels.items() if number == version))

    def _only_line(self) -> _Line | None:
        if len(self._lines) > 1:
            raise NotFoundError(f"no model was named, and several are served: {', '.join(sorted(self._lines))}")
        return next(iter(self._lines.values()), None)
