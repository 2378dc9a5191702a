"""The models of one process as the settings want them: loaded at the start, followed while it serves, ended with it."""

import asyncio
import logging
from pathlib import Path
from typing import Final

from cnnsvc.errors import BundleError
from cnnsvc.manifest import read_manifest
from cnnsvc.model import ModelOptions
from service.admin import Admin
from service.loader import Loader
from service.metrics import Metrics
from service.probation import ProbationLimits
from service.registry import Refusal, Registry
from service.rollback import Rollbacks
from service.rollout import CURABLE_ELSEWHERE, RETRY_SECONDS, Rollout, RolloutOptions
from service.service_state import StateStore
from service.settings import ServeSettings
from service.version_policy import read_policies
from service.watcher import changes

_PROBATION_SECONDS: Final = 0.5
"""Between two looks at how versions on probation do."""

_log = logging.getLogger("cnnsvc.models")


class Models:
    """Lives on the event loop."""

    def __init__(
        self,
        registry: Registry,
        metrics: Metrics,
        settings: ServeSettings,
        options: ModelOptions,
        state_dir: Path | None,
    ) -> None:
        """`state_dir` is the folder that workers share. Raises SettingError where the state in it cannot be read."""
        self._registry = registry
        self._settings = settings
        self._state_dir = state_dir or settings.state_dir
        self._store = StateStore(self._state_dir)
        self._loader = Loader(registry, metrics, options, allow_class_change=settings.allow_class_change)
        self._curable = CURABLE_ELSEWHERE if settings.upstream else frozenset()
        self._rollout: Rollout | None = None
        self.admin: Admin | None = None
        """None where one bundle is served and no other."""
        if settings.models_dir:
            self._add_rollout(settings.models_dir, metrics)

    async def load(self) -> None:
        """Raises CnnsvcError where there is nothing that could be served."""
        if self._rollout:
            await self._rollout.start()
        else:
            assert self._settings.bundle is not None, "the settings promise one of the two"
            await self._load_bundle(self._settings.bundle)

    async def follow(self) -> None:
        """Follows the folder, the shared state and how fresh versions do, until it is cancelled."""
        if self._rollout:
            await asyncio.gather(self._follow_changes(self._rollout), self._follow_probation())
        if self._settings.bundle:
            await self._follow_bundle(self._settings.bundle)

    async def close(self) -> None:
        """Ends every model once it has answered what it has; nothing may be asked any more."""
        await self._loader.close()
        self._registry.close()

    async def _follow_bundle(self, path: Path) -> None:
        """Until it is served."""
        told = ""
        while not self._registry.names():
            await asyncio.sleep(RETRY_SECONDS)
            try:
                await self._load_bundle(path)
            except Exception as error:  # whatever it is, as files that are being replaced, the next attempt may go well
                if str(error) != told:
                    _log.error("%s cannot be loaded: %s", path, error)
                told = str(error)

    async def _load_bundle(self, path: Path) -> None:
        """Raises CnnsvcError where it is refused, unless it may go well later: then the registry says why."""
        try:
            await self._loader.load_bundle(path)
        except BundleError as error:
            if error.fault not in self._curable:
                raise
            manifest = await asyncio.to_thread(read_manifest, path)
            refusal = Refusal(manifest.name, manifest.version, error.fault, str(error), retry_at=0)
            if refusal not in self._registry.refusals():
                _log.error("%s", refusal, extra={"model": refusal.name, "version": refusal.version})
            self._registry.refuse(refusal)
            self._registry.set_loaded()

    def _add_rollout(self, models_dir: Path, metrics: Metrics) -> None:
        settings = self._settings
        probation = ProbationLimits(
            settings.probation_seconds, settings.probation_error_percent / 100, settings.probation_min_images
        )
        options = RolloutOptions(models_dir, read_policies(settings.versions), probation, self._curable)
        self._rollout = Rollout(self._registry, self._loader, self._store, options)
        self._rollbacks = Rollbacks(self._registry, self._rollout, self._store, metrics.rollout, probation)
        self.admin = Admin(self._registry, self._rollout, self._rollbacks, self._store)

    async def _follow_changes(self, rollout: Rollout) -> None:
        assert self._settings.models_dir is not None, "there is no rollout without"
        is_watched = self._settings.watch != "off"
        folders = [self._settings.models_dir] if is_watched else []
        if self._state_dir:
            folders.append(self._state_dir)
        async for _ in changes(folders, self._settings.watch):
            try:
                if self._store.refresh() or is_watched:
                    await rollout.refresh()
                rollout.follow()
            except Exception:  # whatever it is, what serves goes on, and the next look may go well
                _log.exception("the folder of models could not be followed")

    async def _follow_probation(self) -> None:
        while True:
            await asyncio.sleep(_PROBATION_SECONDS)
            try:
                await self._rollbacks.check_probation()
            except Exception:  # as above
                _log.exception("versions on probation could not be judged")
