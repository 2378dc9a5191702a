"""Makes a version answer, and ends one that shall not any more, beside those that go on serving."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec

from cnnsvc.errors import BundleError, Fault
from cnnsvc.manifest import Manifest, read_manifest
from cnnsvc.model import Model, ModelOptions, load_model
from service.batcher import Batcher
from service.metrics import Metrics
from service.proof import LOWEST_PRIORITY, is_same_kind, load_in_place
from service.prover import prove
from service.registry import Registry, ServedModel

_NUM_PROOFS: Final = 2
"""Versions of different models that are proven at once."""

_log = logging.getLogger("cnnsvc.loader")


class Loader:
    """Lives on the event loop."""

    def __init__(
        self,
        registry: Registry,
        metrics: Metrics,
        options: ModelOptions,
        *,
        allow_class_change: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._metrics = metrics
        self._options = options
        self.is_serving = False
        """Whether loading must take nothing from calls; before that it is done here and now."""
        self._allow_class_change = allow_class_change
        self._clock = clock
        self._proofs = asyncio.Semaphore(_NUM_PROOFS)
        self._draining: set[asyncio.Task[None]] = set()
        self._background = ThreadPoolExecutor(1, "loader", _lower_priority)

    async def load_bundle(self, path: Path) -> None:
        """Serves the version in this folder, whatever the folder's name. Raises CnnsvcError where it is refused."""
        await self._serve(path.parent.name, asyncio.to_thread(load_model, path, self._options))
        self._registry.set_loaded()

    async def load(self, path: Path, class_names: Sequence[str] = (), *, is_on_probation: bool = False) -> None:
        """Serves the version in models/<name>/<version>/. Raises where it must not be served, whatever the reason.

        `class_names` are those that callers know, where there are any.
        """
        await self._serve(path.parent.name, self._proven(path, class_names), is_on_probation=is_on_probation)

    def end(self, served: ServedModel) -> None:
        """Lets it answer what it has, then frees it; new calls must not reach it any more."""
        task = asyncio.create_task(self._drain(served))
        self._draining.add(task)
        task.add_done_callback(self._draining.discard)

    async def close(self) -> None:
        self._background.shutdown(wait=False, cancel_futures=True)
        if self._draining:
            await asyncio.wait(self._draining)

    async def _proven(self, path: Path, class_names: Sequence[str]) -> Model:
        """While this process serves, proven in another one and loaded with the CPU that calls leave over."""
        live = self._registry.default(path.parent.name)
        manifest = await asyncio.to_thread(read_manifest, path)
        if class_names and not self._allow_class_change:
            _check_classes(manifest, class_names)
        if not self.is_serving:
            return await asyncio.to_thread(load_in_place, path, self._options, [])
        known = live.model.trials if live and is_same_kind(live.manifest, manifest) else []
        async with self._proofs:
            trials = await prove(path, self._options, known)
            model = await asyncio.get_running_loop().run_in_executor(
                self._background, load_in_place, path, self._options, trials
            )
        if model.manifest != manifest:
            model.engine.close()
            raise BundleError(f"{path} was changed while it was proven", Fault.HASH)
        return model

    async def _serve(self, name: str, load: Awaitable[Model], *, is_on_probation: bool = False) -> None:
        """Lets the model that is loaded answer from now on; how long that took is measured, if it is refused too."""
        started = self._clock()
        try:
            model = await load
        except Exception:
            self._metrics.observe_load(name, self._clock() - started, is_loaded=False)
            raise
        seconds = self._clock() - started
        manifest = model.manifest
        self._metrics.observe_load(manifest.name, seconds, is_loaded=True)
        metrics = self._metrics.add_model(manifest, model.trials, lambda: batcher.num_queued)
        batcher = Batcher(
            model.decode,
            model.engine,
            batch_size=model.choice.batch_size,
            observe_batch_size=metrics.batch_size.observe,
            measure=metrics.drift.measure,
        )
        live = self._registry.default(manifest.name)
        before = self._registry.put(
            ServedModel(model, batcher, metrics, loaded_at=self._clock(), is_on_probation=is_on_probation)
        )
        _log_served(model, seconds, are_trials_new=live is None or live.model.trials != model.trials)
        if before:
            self.end(before)

    async def _drain(self, served: ServedModel) -> None:
        manifest = served.manifest
        await asyncio.to_thread(served.batcher.close)
        if manifest.version not in self._registry.versions(manifest.name):
            self._metrics.remove_model(manifest, served.metrics)
            fields = {"model": manifest.name, "version": manifest.version}
            _log.info("version %(version)d of model %(model)s is unloaded", fields, extra=fields)


def _check_classes(manifest: Manifest, known: Sequence[str]) -> None:
    """Raises BundleError where callers would get other names than they know."""
    if manifest.class_names == list(known):
        return
    new, old = set(manifest.class_names) - set(known), set(known) - set(manifest.class_names)
    changed = [*(f"+{name}" for name in sorted(new)), *(f"-{name}" for name in sorted(old))] or ["another order"]
    raise BundleError(
        f"its classes differ from those that callers know: {', '.join(changed)}; start with --allow-class-change to"
        " accept that",
        Fault.CLASSES,
    )


def _log_served(model: Model, seconds: float, *, are_trials_new: bool) -> None:
    manifest, engine = model.manifest, model.engine
    fields = {
        "model": manifest.name,
        "version": manifest.version,
        "artifact": engine.artifact,
        "engine": engine.name,
        "load_seconds": seconds,
    }
    message = "serving %(model)s version %(version)d: %(artifact)s in %(engine)s, proven in %(load_seconds).2f s"
    _log.info(message, fields, extra=fields)
    for trial in model.trials if are_trials_new else ():
        _log.info(
            "%s version %d: %s",
            manifest.name,
            manifest.version,
            trial.describe(),
            extra=msgspec.structs.asdict(trial),
        )


def _lower_priority() -> None:
    """Of this thread and those that an engine starts in it, none of which computes an answer."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)
