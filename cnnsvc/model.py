"""A bundle made ready to answer: verified, loaded into an engine, warmed, proven on its golden images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnnsvc import pixels
from cnnsvc.bundle import Bundle, open_bundle
from cnnsvc.engines.base import Engine, EngineName
from cnnsvc.engines.choice import Asked, Choice, Trial, choose_engine
from cnnsvc.engines.choice_cache import ChoiceCache
from cnnsvc.engines.upstream import Upstream
from cnnsvc.manifest import Manifest


@dataclass(frozen=True)
class ModelOptions:
    """How bundles are loaded."""

    engine: EngineName = "auto"
    artifact: str | None = None
    """Artifact of the bundle that answers; None leaves it to the choice."""
    num_streams: int = 1
    """Inferences that may run at once."""
    may_use_fewer_streams: bool = False
    """Whether half of them may be chosen, where that is faster."""
    max_batch_size: int = 1
    """Most images in one inference, where the engine gains from more than one."""
    cache_dir: Path | None = None
    """Where choices of engines are remembered; None remembers nothing."""
    limit_pixels: int = pixels.DEFAULT_LIMIT_PIXELS
    upstream: Upstream | None = None
    """Where the engine `remote` has inferred."""


@dataclass(frozen=True)
class Model:
    bundle: Bundle
    choice: Choice
    options: ModelOptions

    @property
    def manifest(self) -> Manifest:
        return self.bundle.manifest

    @property
    def engine(self) -> Engine:
        return self.choice.engine

    @property
    def trials(self) -> list[Trial]:
        return self.choice.trials

    def decode(self, image_bytes: bytes) -> pixels.Pixels:
        """Pixels as this bundle's network wants them, uint8 (H, W, C). Raises ImageError, TooLargeError."""
        shape, version = self.manifest.image, self.manifest.pixels
        return pixels.decoder(version)(
            image_bytes, shape.height, shape.width, shape.channels, limit_pixels=self.options.limit_pixels
        )


def load_model(path: Path, options: ModelOptions, known: Sequence[Trial] = ()) -> Model:
    """The model in this version folder, ready to answer; of its kind of network trials may be known.

    Raises BundleError, EngineError, UnsupportedError.
    """
    bundle = open_bundle(path)
    pixels.decoder(bundle.manifest.pixels)
    if options.upstream:
        return Model(bundle, _choose_remote(bundle, options, options.upstream), options)
    asked = Asked(
        options.engine, options.artifact, options.num_streams, options.may_use_fewer_streams, options.max_batch_size
    )
    cache = ChoiceCache(options.cache_dir) if options.cache_dir else None
    choice = choose_engine(bundle, asked, cache, known)
    try:
        _warm(choice, bundle.manifest)
    except BaseException:
        choice.engine.close()
        raise
    return Model(bundle, choice, options)


def _choose_remote(bundle: Bundle, options: ModelOptions, upstream: Upstream) -> Choice:
    """Nothing is timed, remembered or warmed: the upstream is not this machine's, and its proof has asked it enough."""
    from cnnsvc.engines.remote import choose_remote  # it loads gRPC, which those who infer here need not

    return choose_remote(
        bundle,
        upstream,
        artifact=options.artifact,
        num_streams=options.num_streams,
        max_batch_size=options.max_batch_size,
    )


def _warm(choice: Choice, manifest: Manifest) -> None:
    """One inference of every batch size in each stream: the first of each costs tens of milliseconds."""
    shape = manifest.image
    for batch_size in [*range(1, choice.batch_size + 1)] * choice.engine.num_streams:
        choice.engine.run(np.zeros((batch_size, shape.height, shape.width, shape.channels), np.uint8))
