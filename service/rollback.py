"""Takes versions out of service again: at an operator's word, or since a fresh one fails too often."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

import msgspec

from cnnsvc.errors import CnnsvcError, ConflictError
from service.probation import ProbationLimits, fails
from service.registry import Registry, ServedModel
from service.rollout import Rollout
from service.rollout_metrics import Cause, RolloutMetrics
from service.service_state import ModelState, StateStore, Withdrawal

_log = logging.getLogger("cnnsvc.rollback")


class Rollbacks:
    """Lives on the event loop."""

    def __init__(
        self,
        registry: Registry,
        rollout: Rollout,
        store: StateStore,
        metrics: RolloutMetrics,
        limits: ProbationLimits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._rollout = rollout
        self._store = store
        self._metrics = metrics
        self._limits = limits
        self._clock = clock

    async def check_probation(self) -> None:
        """Rolls back what fails too often, and lets go what was kept only for that."""
        await asyncio.gather(*map(self._check, self._registry.names()))

    async def roll_back(
        self,
        name: str,
        versions: Iterable[int],
        target: int,
        reason: str,
        cause: Cause,
    ) -> None:
        """Takes versions out of service for another one, to which their labels point from now on.

        They stay so until their files change or somebody loads them. Raises ConflictError where the target cannot be
        served, and NotReadyError where an operator's decision cannot be kept.
        """
        if refusal := await self._rollout.load(name, target, is_on_probation=False):
            raise ConflictError(f"there is no way back: {refusal}")
        is_first = self.withdraw(name, versions, reason, target, must_be_kept=cause == "operator")
        if is_first:
            self._metrics.rolled_back(name, cause)
        self._rollout.follow_model(name)

    def withdraw(
        self,
        name: str,
        versions: Iterable[int],
        reason: str,
        target: int | None = None,
        *,
        must_be_kept: bool = True,
        check: Callable[[ModelState], None] = lambda state: None,
    ) -> bool:
        """Decides that versions must not be served; with a target their labels point to that, and it is served.

        `check` may raise, seeing the decisions as they are then. False where all were withdrawn already, such as by
        another worker.
        """
        withdrawn = {version: Withdrawal(reason, self._rollout.fingerprint(name, version)) for version in versions}
        is_new = False

        def decide(state: ModelState) -> ModelState:
            nonlocal is_new
            check(state)
            known = {version: why.fingerprint for version, why in state.withdrawn.items()}
            is_new = any(known.get(version) != why.fingerprint for version, why in withdrawn.items())
            labels, loaded = state.labels, {number for number in state.loaded if number not in withdrawn}
            kept = {**state.withdrawn, **withdrawn}
            if target is not None:
                labels = {label: target if number in withdrawn else number for label, number in labels.items()}
                kept.pop(target, None)
            return msgspec.structs.replace(state, labels=labels, loaded=sorted(loaded), withdrawn=kept)

        self._store.change(name, decide, must_be_kept=must_be_kept)
        if target is not None and target not in self._rollout.wanted(name):
            self.pin(name, target, must_be_kept=must_be_kept)
        for version in sorted(withdrawn):
            fields = {"model": name, "version": version, "reason": reason}
            _log.warning("version %(version)d of model %(model)s is withdrawn: %(reason)s", fields, extra=fields)
        self._rollout.reroute(name)
        return is_new

    def pin(self, name: str, version: int, *, must_be_kept: bool = True) -> None:
        """Decides that a version is served whatever the policy says, and that every worker tries it again."""

        def decide(state: ModelState) -> ModelState:
            return msgspec.structs.replace(
                state,
                loaded=sorted({*state.loaded, version}),
                withdrawn={number: why for number, why in state.withdrawn.items() if number != version},
                attempts={**state.attempts, version: state.attempts.get(version, 0) + 1},
            )

        self._store.change(name, decide, must_be_kept=must_be_kept)

    async def _check(self, name: str) -> None:
        for version, served in self._registry.versions(name).items():
            age_seconds = self._clock() - served.loaded_at
            is_judged = served.is_on_probation and not self._rollout.withdrawal(name, version)
            if is_judged and fails(served.tally, age_seconds, self._limits):
                await self._give_up(name, version, served, age_seconds)
        if self._rollout.has_idle_versions(name):
            self._rollout.follow_model(name)

    async def _give_up(self, name: str, version: int, served: ServedModel, age_seconds: float) -> None:
        """Rolls back a version that failed its probation, where there is one to go back to."""
        default = self._registry.default(name)
        assert default is not None
        target = default.manifest.version if default is not served else self._rollout.previous(name)
        tally = served.tally
        reason = (
            f"it failed {tally.num_failed} of its first {tally.num_failed + tally.num_answered} images"
            f" within {age_seconds:.0f} s"
        )
        try:
            if target is None:
                raise ConflictError("there is no version to go back to")
            await self.roll_back(name, [version], target, reason, "errors")
        except CnnsvcError as error:
            tally.num_failed = tally.num_answered = 0  # said once for so many images
            fields = {"model": name, "version": version}
            _log.error("version %d of model %s stays though %s: %s", version, name, reason, error, extra=fields)
