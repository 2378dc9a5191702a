"""Brings what is served in line with the folder of models, the policy and what operators decided.

A version goes live once it is proven; the one before it serves until then and stays loaded for a while, should the new
one have to go back. Nothing is unloaded because something could not be read, and never the last good version.
"""

import asyncio
import dataclasses
import logging
import math
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from cnnsvc.errors import CnnsvcError, Fault, InvalidError, fault_of
from service.loader import Loader
from service.models_folder import Listing, list_models
from service.probation import ProbationLimits
from service.registry import Refusal, Registry
from service.service_state import StateStore, Withdrawal
from service.version_policy import Policies, VersionPolicy, read_policy, wanted_versions

STABLE: Final = "stable"
"""The label whose version, where there is one, answers calls that name none."""
CURABLE_ELSEWHERE: Final = frozenset({Fault.UPSTREAM, Fault.GOLDEN})
"""What an upstream lacks or gets wrong it may have or get right later, with the same bundle here."""
RETRY_SECONDS: Final = 4.0
"""Before a version is tried again that something else kept from being served; who looks for it looks less often."""

_log = logging.getLogger("cnnsvc.rollout")


@dataclass(frozen=True)
class RolloutOptions:
    models_dir: Path
    policies: Policies
    probation: ProbationLimits
    curable: frozenset[Fault] = frozenset()
    """Faults that may go away while the files of a version stay as they are."""


class Rollout:
    """Lives on the event loop."""

    def __init__(
        self,
        registry: Registry,
        loader: Loader,
        store: StateStore,
        options: RolloutOptions,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._loader = loader
        self._store = store
        self._options = options
        self._clock = clock
        self._listing = Listing({}, {})
        self._loaded: dict[tuple[str, int], str] = {}
        """Fingerprints of the folders of what is served, when it was loaded."""
        self._previous: dict[str, int] = {}
        """Versions that answered by default before the present ones."""
        self._turns: dict[str, asyncio.Lock] = {}
        self._loading: set[tuple[str, int]] = set()
        self._due: set[str] = set()
        self._settling: dict[str, asyncio.Task[None]] = {}
        self._has_started = False

    @property
    def models_dir(self) -> Path:
        return self._options.models_dir

    def policy(self, name: str) -> VersionPolicy:
        decided = self._store.state.model(name).policy
        return read_policy(decided) if decided else self._options.policies.of(name)

    def names(self) -> list[str]:
        """Of the models that are served or lie in the folder."""
        return sorted({*self._listing.models, *self._registry.names()})

    def found(self, name: str) -> dict[int, str]:
        """Fingerprints of the versions in the folder of a model when it was last read."""
        return self._listing.models.get(name, {})

    def previous(self, name: str) -> int | None:
        """The version to go back to: the one before, else the newest older one that serves, or may by the policy."""
        default = self._registry.default(name)
        assert default is not None
        version = default.manifest.version
        older = {candidate for candidate in self._servable(name) if candidate < version}
        before = self._previous.get(name)
        if before is not None and before != version and before in self._servable(name):
            return before
        served = older & set(self._registry.versions(name))
        return max(served or self.policy(name).choose(older), default=None)

    def is_standby(self, name: str, version: int) -> bool:
        """Whether it is loaded only since its successor is on probation."""
        return version not in self._kept(name, with_standby=False)

    def is_loading(self, name: str, version: int) -> bool:
        return (name, version) in self._loading

    def withdrawal(self, name: str, version: int) -> Withdrawal | None:
        """Why it must not be served, unless its files have changed since that was decided."""
        withdrawn = self._store.state.model(name).withdrawn.get(version)
        return withdrawn if withdrawn and withdrawn.fingerprint == self.fingerprint(name, version) else None

    def fingerprint(self, name: str, version: int) -> str:
        """Of its folder as it was last read, or when it was loaded; "" where it is not there."""
        return self.found(name).get(version) or self._loaded.get((name, version), "")

    async def start(self) -> None:
        """Loads what is there. Raises InvalidError where there is no folder, or none that can be read."""
        try:
            self._listing = await asyncio.to_thread(list_models, self._options.models_dir)
        except OSError as error:
            raise InvalidError(f"{self._options.models_dir} cannot be read: {error}") from None
        self._registry.set_troubles(self._listing.troubles)
        for name, why in self._listing.troubles.items():
            _log.error("the versions of model %s cannot be listed: %s", name, why)
        for name in self._listing.models:
            await self.settle(name)
        self._loader.is_serving = self._has_started = True
        self._registry.set_loaded()

    async def look(self) -> None:
        """Reads the folder again and follows what has changed; what cannot be read changes nothing."""
        await self.refresh()
        await asyncio.gather(*map(self.settle, self.names()))

    async def refresh(self) -> None:
        """Reads the folder again."""
        try:
            self._listing = await asyncio.to_thread(list_models, self._options.models_dir)
            troubles = self._listing.troubles | self._gone()
            self._registry.forget(self._registry.required - {*self.names(), *self._listing.troubles})
        except (OSError, CnnsvcError) as error:
            self._listing = Listing({}, {})
            troubles = {"": str(error)}
        if troubles != self._registry.troubles:
            for name, why in troubles.items():
                _log.error("what serves goes on serving: %s cannot be read: %s", name or "the folder of models", why)
            self._registry.set_troubles(troubles)

    def follow(self) -> None:
        """Lets what was decided hold at once as far as it can, and begins to load and let go what it needs."""
        for name in self.names():
            self.follow_model(name)

    def follow_model(self, name: str) -> None:
        """As follow, for one model: nobody waits for a version that takes its time."""
        self.reroute(name)
        self._retire(name)
        self._due.add(name)
        if name not in self._settling:
            self._settling[name] = asyncio.create_task(self._settle_while_due(name))

    async def settle(self, name: str) -> None:
        """Loads what is wanted of a model and not yet served, then lets go what is not wanted any more."""
        async with self._turns.setdefault(name, asyncio.Lock()):
            self._forget_refusals(name)
            while version := self._missing(name):
                await self._load(name, version)
                self.reroute(name)
            self.reroute(name)
            self._retire(name)

    async def load(self, name: str, version: int, *, is_on_probation: bool) -> Refusal | None:
        """One attempt, whatever is wanted, unless it is served: why it failed."""
        if version in self._registry.versions(name):
            return None
        async with self._turns.setdefault(name, asyncio.Lock()):
            if version not in self._registry.versions(name):
                await self._load(name, version, is_on_probation=is_on_probation)
            return None if version in self._registry.versions(name) else self._registry.refusal(name, version)

    def reroute(self, name: str) -> None:
        """Lets default version and labels of a model be what is decided, as far as that is served."""
        before = self._registry.default(name)
        if before is None:
            return
        state = self._store.state.model(name)
        default = self._default(name, before.manifest.version, state.labels.get(STABLE))
        self._registry.route(name, default, state.labels, state.split)
        class_names = self._registry.versions(name)[default].manifest.class_names
        if class_names != state.class_names:
            self._store.change(
                name, lambda state: msgspec.structs.replace(state, class_names=class_names), must_be_kept=False
            )
        if before.manifest.version != default:
            self._previous[name] = before.manifest.version
            fields = {"model": name, "version": default, "previous_version": before.manifest.version}
            message = "version %(version)d of model %(model)s answers by default, after %(previous_version)d"
            _log.info(message, fields, extra=fields)

    def has_idle_versions(self, name: str) -> bool:
        """Whether some are loaded that nothing keeps any more."""
        return bool(set(self._registry.versions(name)) - self._kept(name))

    def wanted(self, name: str, hoped_for: Collection[int] = ()) -> list[int]:
        """Versions to be served, in the order in which they are loaded: the stable one first, then the newest.

        Some that are refused may be hoped for.
        """
        state = self._store.state.model(name)
        pinned = [*state.loaded, *state.labels.values()]
        servable = {*self._servable(name), *hoped_for}
        wanted = wanted_versions(self.policy(name), servable, pinned)
        stable = state.labels.get(STABLE)
        return sorted(wanted, key=lambda version: version != stable)

    def _default(self, name: str, before: int, stable: int | None) -> int:
        """The version that is to answer by default, of those that are served."""
        served = set(self._registry.versions(name))
        candidates = self._servable(name) & served
        if stable is None:
            # Those that a new policy does not want any more are about to go.
            return max(candidates & set(self.wanted(name)) or candidates, default=before)
        if stable in served:
            return stable
        # What stable holds back must not come in its place while it is loaded, or cannot be.
        if before in candidates and self._has_started:
            return before
        return max((version for version in candidates if version <= stable), default=before)

    async def _settle_while_due(self, name: str) -> None:
        try:
            while name in self._due:
                self._due.discard(name)
                await self.settle(name)
        except Exception:  # whatever it is, what serves goes on, and the next look may go well
            _log.exception("model %s could not be brought in line", name)
        finally:
            del self._settling[name]

    def _retire(self, name: str) -> None:
        for version in set(self._registry.versions(name)) - self._kept(name):
            self._loaded.pop((name, version), None)
            self._loader.end(self._registry.take(name, version))

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
        return refusal is not None and refusal.fingerprint == self._attempt(name, version)

    def _attempt(self, name: str, version: int) -> str:
        """What must differ for a refused version to be tried again: its files, or how often it was asked for."""
        asked = self._store.state.model(name).attempts.get(version, 0)
        return f"{self.fingerprint(name, version)}-{asked}"

    def _missing(self, name: str) -> int | None:
        """The first wanted version that is not served as it lies in the folder, and may be tried."""
        found, again = self.found(name), self._to_retry(name)
        for version in self.wanted(name, again):
            is_new = version in found and self._loaded.get((name, version)) != found[version]
            if is_new and (version in again or not self._is_refused(name, version)):
                return version
        return None

    def _to_retry(self, name: str) -> set[int]:
        """Refused versions that may go well by now. What serves is kept until one does."""
        now = self._clock()
        return {
            refusal.version
            for refusal in self._registry.refusals()
            if refusal.name == name and refusal.retry_at <= now and not self.withdrawal(name, refusal.version)
        }

    def _kept(self, name: str, *, with_standby: bool = True) -> set[int]:
        """Served versions that stay: wanted ones, labelled ones, the default one, the one to go back to."""
        default = self._registry.default(name)
        if default is None:
            return set()
        kept = {default.manifest.version, *self.wanted(name), *self._store.state.model(name).labels.values()}
        kept |= self._registry.labelled(name)
        previous = self._previous.get(name)
        is_on_probation = self._clock() - default.loaded_at <= self._options.probation.seconds
        if with_standby and previous is not None and is_on_probation and not self.withdrawal(name, previous):
            kept.add(previous)
        return kept

    def _is_known(self, refusal: Refusal) -> bool:
        """Whether the same was said the last time that it was tried."""
        before = self._registry.refusal(refusal.name, refusal.version)
        return before is not None and dataclasses.replace(before, retry_at=refusal.retry_at) == refusal

    def _forget_refusals(self, name: str) -> None:
        """Of versions that are not in the folder any more, though it can be read."""
        if found := self.found(name):
            for refusal in self._registry.refusals():
                if refusal.name == name and refusal.version not in found:
                    self._registry.accept(name, refusal.version)

    async def _load(self, name: str, version: int, *, is_on_probation: bool = True) -> None:
        """One attempt: afterwards the version is served, or refused until its folder changes."""
        mark, attempt = self.fingerprint(name, version), self._attempt(name, version)
        default = self._registry.default(name)
        known = default.manifest.class_names if default else self._store.state.model(name).class_names
        path = self._options.models_dir / name / str(version)
        self._loading.add((name, version))
        try:
            await self._loader.load(path, known, is_on_probation=is_on_probation and self._has_started)
        except Exception as error:  # whatever is wrong with one bundle, the others are served
            fault = fault_of(error)
            retry_at = self._clock() + RETRY_SECONDS if fault in self._options.curable else math.inf
            refusal = Refusal(name, version, fault, str(error), attempt, retry_at)
            traceback = None if isinstance(error, CnnsvcError | OSError) else error
            fields = {"model": name, "version": version, "fault": refusal.fault}
            if not self._is_known(refusal):
                _log.error("%s", refusal, exc_info=traceback, extra=fields)
            self._registry.refuse(refusal)
        else:
            self._loaded[name, version] = mark
        finally:
            self._loading.discard((name, version))
