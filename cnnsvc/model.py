"""A bundle made ready to answer: verified, loaded into an engine, warmed, proven on its golden images."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnnsvc import pixels
from cnnsvc.bundle import Bundle, open_bundle
from cnnsvc.engines.base import Engine, EngineName
from cnnsvc.engines.golden import check_golden
from cnnsvc.engines.load import load_engine
from cnnsvc.manifest import Manifest


@dataclass(frozen=True)
class ModelOptions:
    """How bundles are loaded."""

    engine: EngineName = "auto"
    artifact: str | None = None
    """File of the bundle that answers; None leaves the choice to the engine."""
    num_streams: int = 1
    """Inferences that may run at once."""
    max_batch_size: int = 1
    limit_pixels: int = pixels.DEFAULT_LIMIT_PIXELS


@dataclass(frozen=True)
class Model:
    bundle: Bundle
    engine: Engine
    options: ModelOptions
    load_seconds: float

    @property
    def manifest(self) -> Manifest:
        return self.bundle.manifest

    def decode(self, image_bytes: bytes) -> pixels.Pixels:
        """Pixels as this bundle's network wants them, uint8 (H, W, C). Raises ImageError, TooLargeError."""
        shape, version = self.manifest.image, self.manifest.pixels
        return pixels.decoder(version)(
            image_bytes, shape.height, shape.width, shape.channels, limit_pixels=self.options.limit_pixels
        )


def load_model(path: Path, options: ModelOptions) -> Model:
    """The model in this version folder, ready to answer. Raises BundleError, EngineError, UnsupportedError."""
    started = time.monotonic()
    bundle = open_bundle(path)
    pixels.decoder(bundle.manifest.pixels)
    engine = load_engine(options.engine, bundle, num_threads=options.num_streams, artifact=options.artifact)
    try:
        check_golden(bundle, engine)
        _warm(engine, bundle.manifest, options.max_batch_size)
    except BaseException:
        engine.close()
        raise
    return Model(bundle, engine, options, time.monotonic() - started)


def _warm(engine: Engine, manifest: Manifest, max_batch_size: int) -> None:
    """One inference of every batch size: the first of each costs tens of milliseconds."""
    shape = manifest.image
    for batch_size in range(1, max_batch_size + 1):
        engine.run(np.zeros((batch_size, shape.height, shape.width, shape.channels), np.uint8))
