"""The engine that infers elsewhere: decoded images go to a fleet that holds the same network, and scores come back.

The bundle stays here, for names, pixels and golden answers; those prove that the network there is the one it tells of.
"""

import time
from collections.abc import Callable
from typing import Final

import numpy as np

from cnnsvc.bundle import Bundle
from cnnsvc.engines.base import NEVER, Images, Scores, check_images
from cnnsvc.engines.choice import Choice, Trial
from cnnsvc.engines.golden import check_golden, golden_images, tolerance_of
from cnnsvc.engines.load import runnable_artifacts
from cnnsvc.engines.upstream import Upstream
from cnnsvc.engines.upstream_channel import UpstreamChannel
from cnnsvc.engines.upstream_oip import Oip
from cnnsvc.engines.upstream_tfs import Tfs
from cnnsvc.errors import BundleError, CnnsvcError, EngineError, Fault, LateError

_PATIENCE_SECONDS: Final = 10.0
"""Of a call that has no deadline, as while a version is loaded."""
_DIALECTS: Final[dict[str, Callable[[UpstreamChannel, str, int], Oip | Tfs]]] = {"oip": Oip, "tfs": Tfs}
_SAVED_MODEL: Final = ("saved_model/serving_default", "saved_model/serving_float")
"""Further artifacts that an upstream may run, by the same pixels."""


class RemoteEngine:
    """One model version of an upstream; each thread that calls waits for its own answer."""

    name = "remote"
    is_single = False

    def __init__(self, upstream: Upstream, bundle: Bundle, *, num_streams: int) -> None:
        """Raises NotReadyError, LateError or EngineError with what the upstream lacks, InvalidError for a bad file."""
        manifest, shape = bundle.manifest, bundle.manifest.image
        self.artifact = "model.onnx"
        self.num_streams = num_streams
        self._image_hwc = shape.height, shape.width, shape.channels
        self._num_classes = len(manifest.class_names)
        self._channel = UpstreamChannel(upstream)
        try:
            model, version = upstream.model or manifest.name, upstream.version or manifest.version
            self._dialect = _dialect(self._channel, upstream, model, version)
            self._signature = self._dialect.read(self._image_hwc, self._num_classes, _PATIENCE_SECONDS)
        except BaseException:
            self._channel.close()
            raise

    @property
    def trouble(self) -> str:
        """Why it cannot answer for the time being; "" where it can."""
        return self._channel.trouble

    def run(self, images_nhwc: Images, deadline: float = NEVER) -> Scores:
        """Softmax scores, float32 (N, K), of uint8 (N, H, W, C).

        Raises LateError past the deadline, in time.monotonic() seconds, OverloadedError, NotReadyError, EngineError.
        """
        check_images(images_nhwc, self._image_hwc)
        seconds = _PATIENCE_SECONDS if deadline == NEVER else deadline - time.monotonic()
        if seconds <= 0:
            raise LateError("the deadline passed before the upstream was asked")
        return self._dialect.infer(images_nhwc, self._num_classes, self._signature, seconds)

    def begin_serving(self) -> None:
        """From now on errors are for callers, who learn what is wrong and nothing of what lies behind."""
        self._channel.tells_details = False

    def close(self) -> None:
        """Ends the connection; nothing may be run any more."""
        self._channel.close()


def choose_remote(
    bundle: Bundle, upstream: Upstream, *, artifact: str | None, num_streams: int, max_batch_size: int
) -> Choice:
    """The upstream's model, proven to be the bundle's network and to take batches.

    Raises BundleError: of the fault `upstream` where it is away, lacks the version or takes no such images, of
    the fault `golden` where it answers with other scores.
    """
    engine: RemoteEngine | None = None
    try:
        engine = RemoteEngine(upstream, bundle, num_streams=num_streams)
        _prove(bundle, engine, artifact)
        _prove_batches(bundle, engine, max_batch_size)
    except CnnsvcError as error:
        if engine:
            engine.close()
        raise error if isinstance(error, BundleError) else BundleError(str(error), Fault.UPSTREAM) from None
    engine.begin_serving()
    trial = Trial(engine.name, engine.artifact, num_streams, max_batch_size, is_chosen=True)
    return Choice(engine, max_batch_size, [trial])


def _dialect(channel: UpstreamChannel, upstream: Upstream, model: str, version: int) -> Oip | Tfs:
    """Raises EngineError where none is spoken, and as a call."""
    if upstream.dialect != "auto":
        return _DIALECTS[upstream.dialect](channel, model, version)
    for kind in _DIALECTS.values():
        if (dialect := kind(channel, model, version)).is_spoken(_PATIENCE_SECONDS):
            return dialect
    raise EngineError(
        "the upstream speaks neither oip (inference.GRPCInferenceService) nor tfs (tensorflow.serving.ModelService)"
    )


def _prove(bundle: Bundle, engine: RemoteEngine, artifact: str | None) -> None:
    """Which file the upstream runs it does not say: it is that one whose golden answers come out, the strictest first.

    Raises BundleError where none is.
    """
    known = [name for name in (*runnable_artifacts(bundle), *_SAVED_MODEL) if name in bundle.manifest.artifacts]
    names = sorted(known, key=lambda name: tolerance_of(bundle, name)) if artifact is None else [artifact]
    first: BundleError | None = None
    for name in names:
        engine.artifact = name
        try:
            check_golden(bundle, engine)
        except BundleError as error:
            first = first or error
        else:
            return
    raise first or BundleError(f"{bundle.path} has no artifact that an upstream could run", Fault.ENGINE)


def _prove_batches(bundle: Bundle, engine: RemoteEngine, batch_size: int) -> None:
    """Raises BundleError unless images in one batch get the scores that each gets alone, and EngineError."""
    if batch_size > 1:
        check_golden(bundle, engine, batch_size=batch_size)
        images_nhwc = golden_images(bundle)
        engine.run(np.resize(images_nhwc, (batch_size, *images_nhwc.shape[1:])))
