"""Name and version to a model that answers; what was refused, and why."""

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

from cnnsvc import bundle
from cnnsvc.errors import CnnsvcError, NotFoundError, NotReadyError
from cnnsvc.manifest import Manifest
from cnnsvc.model import Model, ModelOptions, load_model
from service.batcher import Batcher
from service.metrics import Metrics, ModelMetrics

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
            raise NotFoundError(f"model {name!r} is not served; served are {', '.join(sorted(self._served)) or 'none'}")
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
        self._add(await asyncio.to_thread(load_model, path, self._options))
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
        for version in reversed(bundle.versions(model_dir)):
            try:
                model = await asyncio.to_thread(load_model, model_dir / str(version), self._options)
                if (model.manifest.name, model.manifest.version) != (model_dir.name, version):
                    _log.warning(
                        "%s/%d says it is %s/%d", model_dir, version, model.manifest.name, model.manifest.version
                    )
                self._add(model)
                return
            except CnnsvcError as error:
                _log.error("version %d of model %s is refused: %s", version, model_dir.name, error)
                self._refused.setdefault(
                    model_dir.name, f"version {version} of model {model_dir.name} is refused: {error}"
                )

    def _add(self, model: Model) -> None:
        manifest, engine = model.manifest, model.engine
        batcher = Batcher(engine, max_batch_size=model.options.max_batch_size)
        metrics = self._metrics.add_model(
            manifest, engine=engine.name, artifact=engine.artifact, num_queued=lambda: batcher.num_queued
        )
        self._served.setdefault(manifest.name, {})[manifest.version] = ServedModel(model, batcher, metrics)
        _log.info(
            "serving %s version %d: %s in %s, proven and warm in %.2f s",
            manifest.name,
            manifest.version,
            engine.artifact,
            engine.name,
            model.load_seconds,
        )

    def _only_model(self) -> dict[int, ServedModel] | None:
        if len(self._served) > 1:
            raise NotFoundError(f"no model was named, and several are served: {', '.join(sorted(self._served))}")
        return next(iter(self._served.values()), None)
