"""Brings what is served in line with the folder of models, the policy and what operators decided.

A version goes live once it is proven; the one before it serves until then and stays loaded for a while, should the new
one have to go back. Nothing is unloaded because something could not be read, and never the last good version.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from cnnsvc.errors import CnnsvcError, ConflictError, fault_of
from service.loader import Loader
from service.models_folder import Listing, list_models
from service.probation import ProbationLimits, fails
from service.registry import Refusal, Registry, ServedModel
from service.rollout_metrics import Cause, RolloutMetrics
from service.service_state import ModelState, StateStore, Withdrawal
from service.version_policy import Policies, wanted_versions

STABLE: Final = "stable"
"""The label whose version, where there is one, answers calls that name none."""

_log = logging.getLogger("cnnsvc.rollout")


@dataclass(frozen=True)
class RolloutOptions:
    models_dir: Path
    policies: Policies
    probation: ProbationLimits


class Rollout:
    """Lives on the event loop."""

    def __init__(
        self,
        registry: Registry,
        loader: Loader,
        store: StateStore,
        metrics: RolloutMetrics,
        options: RolloutOptions,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._loader = loader
        self._store = store
        self._metrics = metrics
        self._options = options
        self._clock = clock
        self._listing = Listing({}, {})
        self._loaded: dict[tuple[str, int], str] = {}
        """Fingerprints of the folders of what is served, when it was loaded."""
        self._previous: dict[str, int] = {}
        """Versions that answered by default before the present ones."""
        self._turns: dict[str, asyncio.Lock] = {}
        self._loading: set[tuple[str, int]] = set()

    @property
    def policies(self) -> Policies:
        return self._options.policies

    def names(self) -> list[str]:
        """Of the models that are served or lie in the folder."""
        return sorted({*self._listing.models, *self._registry.names()})

    def found(self, name: str) -> dict[int, str]:
        """Fingerprints of the versions in the folder of a model when it was last read."""
        return self._listing.models.get(name, {})

    def previous(self, name: str) -> int | None:
        """The version that answered by default before, or the newest older one that may be served."""
        default = self._registry.default(name)
        assert default is not None
        version = default.manifest.version
        before = self._previous.get(name)
        candidates = self._servable(name) - {version}
        if before in candidates:
            return before
        return max((candidate for candidate in candidates if candidate < version), default=None)

    def is_standby(self, name: str, version: int) -> bool:
        """Whether it is loaded only since its successor is on probation."""
        return version not in self._kept(name, with_standby=False)

    def is_loading(self, name: str, version: int) -> bool:
        return (name, version) in self._loading

    async def start(self) -> None:
        """Loads what is there. Raises InvalidError where there is no folder."""
        self._listing = await asyncio.to_thread(list_models, self._options.models_dir)
        self._registry.set_troubles(self._listing.troubles)
        for name, why in self._listing.troubles.items():
            _log.error("the versions of model %s cannot be listed: %s", name, why)
        for name in self._listing.models:
            await self.settle(name)
        self._loader.is_serving = True
        self._registry.set_loaded()

    async def look(self) -> None:
        """Reads the folder again and follows what has changed; what cannot be read changes nothing."""
        await self.refresh()
        await self.settle_all()

    async def refresh(self) -> None:
        """Reads the folder again."""
        try:
            self._listing = await asyncio.to_thread(list_models, self._options.models_dir)
            troubles = self._listing.troubles | self._gone()
        except (OSError, CnnsvcError) as error:
            self._listing = Listing({}, {})
            troubles = {"": str(error)}
        if troubles != self._registry.troubles:
            for name, why in troubles.items():
                _log.error("what serves goes on serving: %s cannot be read: %s", name or "the folder of models", why)
            self._registry.set_troubles(troubles)

    async def settle_all(self) -> None:
        await asyncio.gather(*map(self.settle, self.names()))

    async def settle(self, name: str) -> None:
        """Loads what is wanted of a model and not yet served, then lets go what is not wanted any more."""
        async with self._turn(name):
            self._forget_refusals(name)
            while version := self._missing(name):
                await self._load(name, version)
            self.reroute(name)
            for version in set(self._registry.versions(name)) - self._kept(name):
                del self._loaded[name, version]
                self._loader.end(self._registry.take(name, version))

    def reroute(self, name: str) -> None:
        """Lets default version and labels of a model be what is decided, as far as that is served."""
        served = set(self._registry.versions(name))
        if not served:
            return
        state = self._store.state.model(name)
        before = self._registry.default(name)
        assert before is not None
        default = state.labels.get(STABLE, 0)
        if default not in served:
            default = max(self._servable(name) & served, default=before.manifest.version)
        self._registry.route(name, default, state.labels, state.split)
        if before.manifest.version != default:
            self._previous[name] = before.manifest.version
            fields = {"model": name, "version": default, "previous_version": before.manifest.version}
            message = "version %(version)d of model %(model)s answers by default, after %(previous_version)d"
            _log.info(message, fields, extra=fields)

    async def check_probation(self) -> None:
        """Rolls back what fails too often, and lets go what was kept only for that."""
        for name in self._registry.names():
            for version, served in self._registry.versions(name).items():
                age_seconds = self._clock() - served.loaded_at
                if not self.withdrawal(name, version) and fails(served.tally, age_seconds, self._options.probation):
                    await self._give_up(name, version, served)
            if set(self._registry.versions(name)) - self._kept(name):
                await self.settle(name)

    async def roll_back(self, name: str, versions: Iterable[int], target: int, reason: str, cause: Cause) -> None:
        """Takes versions out of service for another one, to which their labels point from now on.

        They stay so until their files change or somebody loads them. Raises ConflictError where the target cannot be
        served, and OSError where the decision cannot be kept.
        """
        if target not in self._registry.versions(name):
            async with self._turn(name):
                await self._load(name, target)
        if target not in self._registry.versions(name):
            raise ConflictError(f"there is no way back: {self._registry.refusal(name, target)}")
        self.withdraw(name, versions, reason, target)
        self._metrics.rolled_back(name, cause)
        if target not in self._wanted(name):
            self.pin(name, target)
        await self.settle(name)

    def pin(self, name: str, version: int) -> None:
        """Decides that a version is served whatever the policy says, and that it may be tried again."""

        def decide(state: ModelState) -> ModelState:
            withdrawn = {number: why for number, why in state.withdrawn.items() if number != version}
            return msgspec.structs.replace(state, loaded=sorted({*state.loaded, version}), withdrawn=withdrawn)

        self._store.change(name, decide)
        self._registry.accept(name, version)

    def withdraw(self, name: str, versions: Iterable[int], reason: str, target: int | None = None) -> None:
        """Decides that versions must not be served; with a target their labels point to that. It holds at once."""
        withdrawn = {version: Withdrawal(reason, self._mark(name, version)) for version in versions}

        def decide(state: ModelState) -> ModelState:
            labels, kept = state.labels, [number for number in state.loaded if number not in withdrawn]
            if target is not None:
                labels = {label: target if number in withdrawn else number for label, number in labels.items()}
            return msgspec.structs.replace(
                state, labels=labels, loaded=kept, withdrawn={**state.withdrawn, **withdrawn}
            )

        self._store.change(name, decide)
        for version in sorted(withdrawn):
            fields = {"model": name, "version": version, "reason": reason}
            _log.warning("version %(version)d of model %(model)s is withdrawn: %(reason)s", fields, extra=fields)
        self.reroute(name)

    def withdrawal(self, name: str, version: int) -> Withdrawal | None:
        """Why it must not be served, unless its files have changed since that was decided."""
        withdrawn = self._store.state.model(name).withdrawn.get(version)
        return withdrawn if withdrawn and withdrawn.fingerprint == self._mark(name, version) else None

    async def _give_up(self, name: str, version: int, served: ServedModel) -> None:
        """Rolls back a version that failed its probation, where there is one to go back to."""
        default = self._registry.default(name)
        assert default is not None
        target = default.manifest.version if default is not served else self.previous(name)
        tally = served.tally
        reason = (
            f"it failed {tally.num_failed} of its first {tally.num_failed + tally.num_answered} images"
            f" within {self._clock() - served.loaded_at:.0f} s"
        )
        try:
            if target is None:
                raise ConflictError("there is no version to go back to")
            await self.roll_back(name, [version], target, reason, "errors")
        except (CnnsvcError, OSError) as error:
            served.tally.num_failed = served.tally.num_answered = 0  # said once for so many images
            fields = {"model": name, "version": version}
            _log.error("version %d of model %s stays though %s: %s", version, name, reason, error, extra=fields)

    def _turn(self, name: str) -> asyncio.Lock:
        """One change of a model at a time."""
        return self._turns.setdefault(name, asyncio.Lock())

    def _mark(self, name: str, version: int) -> str:
        return self.found(name).get(version) or self._loaded.get((name, version), "")

    def _gone(self) -> dict[str, str]:
        """Served models whose versions have all gone from the folder: rather an accident than somebody's will."""
        return {
            name: "it holds no version any more"
            for name in self._registry.names()
            if name not in self._listing.troubles and not self.found(name)
        }

    def _servable(self, name: str) -> set[int]:
        """Versions that may be served: of those in the folder, or where there is none to be read, of those loaded."""
        served = self._registry.versions(name)
        return {
            version
            for version in self.found(name) or served
            if not self.withdrawal(name, version) and (version in served or not self._is_refused(name, version))
        }

    def _is_refused(self, name: str, version: int) -> bool:
        refusal = self._registry.refusal(name, version)
        return refusal is not None and refusal.fingerprint == self._mark(name, version)

    def _wanted(self, name: str) -> list[int]:
        state = self._store.state.model(name)
        pinned = [*state.loaded, *state.labels.values()]
        return wanted_versions(self._options.policies.of(name), self._servable(name), pinned)

    def _missing(self, name: str) -> int | None:
        """The newest wanted version that is not served as it lies in the folder, and may be tried."""
        found = self.found(name)
        for version in self._wanted(name):
            is_new = version in found and self._loaded.get((name, version)) != found[version]
            if is_new and not self._is_refused(name, version):
                return version
        return None

    def _kept(self, name: str, *, with_standby: bool = True) -> set[int]:
        """Served versions that stay: wanted ones, labelled ones, the default one, the one to go back to."""
        default = self._registry.default(name)
        if default is None:
            return set()
        kept = {default.manifest.version, *self._wanted(name), *self._store.state.model(name).labels.values()}
        previous = self._previous.get(name)
        is_on_probation = self._clock() - default.loaded_at <= self._options.probation.seconds
        if with_standby and previous is not None and is_on_probation and not self.withdrawal(name, previous):
            kept.add(previous)
        return kept

    def _forget_refusals(self, name: str) -> None:
        """Of versions that are not in the folder any more, though it can be read."""
        if found := self.found(name):
            for refusal in self._registry.refusals():
                if refusal.name == name and refusal.version not in found:
                    self._registry.accept(name, refusal.version)

    async def _load(self, name: str, version: int) -> None:
        """One attempt: afterwards the version is served, or refused until its folder changes."""
        mark = self._mark(name, version)
        self._loading.add((name, version))
        try:
            await self._loader.load(self._options.models_dir / name / str(version))
        except Exception as error:  # whatever is wrong with one bundle, the others are served
            refusal = Refusal(name, version, fault_of(error), str(error), mark)
            traceback = None if isinstance(error, CnnsvcError | OSError) else error
            fields = {"model": name, "version": version, "fault": refusal.fault}
            _log.error("%s", refusal, exc_info=traceback, extra=fields)
            self._registry.refuse(refusal)
        else:
            self._loaded[name, version] = mark
        finally:
            self._loading.discard((name, version))
