"""Name and version to a model that answers; what was refused, and why."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from cnnsvc import bundle
from cnnsvc.errors import BundleError, CnnsvcError, NotFoundError, NotReadyError
from cnnsvc.manifest import Manifest, read_manifest
from cnnsvc.model import Model, ModelOptions, load_model
from service.batcher import Batcher
from service.metrics import Metrics, ModelMetrics

_SHOWN_NAME: Final = 64
"""Longest name that a model can have: of a longer one only the beginning is repeated to the caller."""

_log = logging.getLogger("cnnsvc.registry")


@dataclass(frozen=True)
class ServedModel:
    model: Model
    batcher: Batcher
    metrics: ModelMetrics
    is_default: bool = True

    @property
    def manifest(self) -> Manifest:
        return self.model.manifest

    @property
    def engine_name(self) -> str:
        return self.model.engine.name

    @property
    def artifact(self) -> str:
        return self.model.engine.artifact


class Registry:
    """Lives on the event loop; bundles are loaded and proven in a thread beside it."""

    def __init__(self, options: ModelOptions, metrics: Metrics) -> None:
        self._options = options
        self._metrics = metrics
        self._served: dict[str, dict[int, ServedModel]] = {}
        self._refused: dict[str, str] = {}
        self._is_loaded = False
        metrics.watch_readiness(lambda: not self.unready_reasons())

    def get(self, name: str, version: int) -> ServedModel:
        """The model of that name and version; "" is the only model, 0 its default version.

        Raises NotFoundError, or NotReadyError while bundles are still being loaded.
        """
        served = self._served.get(name) if name else self._only_model()
        if served and version == 0:
            return next(model for model in served.values() if model.is_default)
        if served and version in served:
            return served[version]
        if not self._is_loaded:
            raise NotReadyError("models are still being loaded")
        if not served:
            known = ", ".join(sorted(self._served)) or "none"
            asked = f"model {name[:_SHOWN_NAME]!r} is not served" if name else "no model is named"
            raise NotFoundError(f"{asked}; served are {known}")
        name = next(iter(served.values())).manifest.name
        raise NotFoundError(f"version {version} of model {name!r} is not served; served are {sorted(served)}")

    def models(self) -> list[ServedModel]:
        return [model for _, versions in sorted(self._served.items()) for _, model in sorted(versions.items())]

    def unready_reasons(self) -> list[str]:
        """Why the service is not ready: empty once every configured model has a default version that proved itself."""
        if not self._is_loaded:
            return ["models are still being loaded"]
        if not self._served and not self._refused:
            return ["no model is there to serve"]
        return [reason for name, reason in sorted(self._refused.items()) if name not in self._served]

    async def load_bundle(self, path: Path) -> None:
        """Loads one version folder. Raises CnnsvcError where it is refused."""
        self._add(await self._load(load_model, path))
        self._is_loaded = True

    async def load_folder(self, models_dir: Path) -> None:
        """Loads the newest version of every model that proves itself; one that fails is refused with its reason."""
        for name in bundle.model_names(models_dir):
            await self._load_newest(models_dir / name)
        self._is_loaded = True

    def close(self) -> None:
        for served in self.models():
            served.batcher.close()

    async def _load_newest(self, model_dir: Path) -> None:
        try:
            versions = bundle.versions(model_dir)
        except OSError as error:
            self._refuse(model_dir.name, None, error)
            return
        for version in reversed(versions):
            try:
                self._add(await self._load(_load_in_place, model_dir / str(version)))
                return
            except Exception as error:  # whatever is wrong with one bundle, the others are served
                self._refuse(model_dir.name, version, error)

    def _refuse(self, name: str, version: int | None, error: Exception) -> None:
        """Keeps the first reason for a model, which is that of its newest version."""
        what = f"model {name}" if version is None else f"version {version} of model {name}"
        traceback = None if isinstance(error, CnnsvcError | OSError) else error
        _log.error("%s is refused: %s", what, error, exc_info=traceback, extra={"model": name, "version": version})
        self._refused.setdefault(name, f"{what} is refused: {error}")

    async def _load(self, load: Callable[[Path, ModelOptions], Model], path: Path) -> Model:
        """What `load` makes of a version folder, in a thread; how that went is measured."""
        started = time.monotonic()
        try:
            model = await asyncio.to_thread(load, path, self._options)
        except Exception:
            self._metrics.observe_load(path.parent.name, time.monotonic() - started, is_loaded=False)
            raise
        self._metrics.observe_load(model.manifest.name, model.load_seconds, is_loaded=True)
        return model

    def _add(self, model: Model) -> None:
        manifest, engine = model.manifest, model.engine
        metrics = self._metrics.add_model(manifest, model.trials, lambda: batcher.num_queued)
        batcher = Batcher(
            model.decode,
            engine,
            batch_size=model.choice.batch_size,
            observe_batch_size=metrics.batch_size.observe,
        )
        self._served.setdefault(manifest.name, {})[manifest.version] = ServedModel(model, batcher, metrics)
        fields = {
            "model": manifest.name,
            "version": manifest.version,
            "artifact": engine.artifact,
            "engine": engine.name,
            "load_seconds": model.load_seconds,
        }
        message = "serving %(model)s version %(version)d: %(artifact)s in %(engine)s, proven in %(load_seconds).2f s"
        _log.info(message, fields, extra=fields)
        for trial in model.trials:
            _log.info(
                "%s version %d: %s",
                manifest.name,
                manifest.version,
                trial.describe(),
                extra=msgspec.structs.asdict(trial),
            )

    def _only_model(self) -> dict[int, ServedModel] | None:
        if len(self._served) > 1:
            raise NotFoundError(f"no model was named, and several are served: {', '.join(sorted(self._served))}")
        return next(iter(self._served.values()), None)


def _load_in_place(path: Path, options: ModelOptions) -> Model:
    """The model of models/<name>/<version>/. Raises BundleError where a bundle lies in the folder of another."""
    manifest = read_manifest(path)
    if (manifest.name, str(manifest.version)) != (path.parent.name, path.name):
        raise BundleError(
            f"its manifest says {manifest.name} version {manifest.version}; expected"
            f" {path.parent.name} version {path.name}"
        )
    return load_model(path, options)
