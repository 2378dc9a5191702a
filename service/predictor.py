"""One call from images to named classes, whatever protocol it came by: admit, decode, batch, run, rank."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from cnnsvc.classification import Timings
from cnnsvc.engines.base import Scores
from cnnsvc.errors import CnnsvcError, InvalidError, Kind, LateError, OverloadedError, TooLargeError
from cnnsvc.manifest import ImageShape
from cnnsvc.ranking import ScoredClasses, check_top_k, rank
from service.admission import Admission
from service.batcher import Batcher, Image, Inference, num_bytes_to_decode
from service.call_record import CallRecord
from service.pace import is_in_time
from service.registry import Registry, ServedModel

_OWN_LIMIT: Final = 0.9
"""Share of the service's own time limit from which on a call was ended by that and not by its caller's."""


@dataclass(frozen=True, slots=True)
class Query:
    """One call."""

    images: Sequence[Image]
    model: str = ""
    """Name; "" is the only model."""
    version: int = 0
    """0 is the default version."""
    top_k: int | None = None
    deadline: float | None = None
    """time.monotonic() seconds; None is the service's own limit."""
    label: str = ""
    """Instead of a version."""
    record: CallRecord | None = None
    """Of a call that is traced or audited: what becomes known of it is written there."""


@dataclass(frozen=True, slots=True)
class Answer:
    model: str
    version: int
    results: list[ScoredClasses]
    """One an image, in the order of the query."""
    timings: Timings
    scores: Sequence[Scores] = ()
    """float32 (K,) an image, all classes in the order of their names."""
    class_names: Sequence[str] = ()
    rejected: frozenset[int] = frozenset()
    """Places of the images that are of none of the classes: their best score is below the bundle's threshold."""


@dataclass(frozen=True, slots=True)
class PredictorLimits:
    queue_limit: int
    """Images admitted and not yet answered."""
    max_images_per_call: int
    request_timeout_ms: int
    num_patient: int = 16
    """Calls of classify_when_room admitted at once: enough to keep every engine stream busy."""
    queue_limit_bytes: int = 256 * 1024 * 1024
    """Of images admitted and not yet answered, as they came, and of bodies that are being received."""


class Predictor:
    def __init__(self, registry: Registry, limits: PredictorLimits) -> None:
        self._registry = registry
        self._limits = limits
        self._turns = asyncio.Semaphore(limits.num_patient)
        self.admission = Admission(limit_images=limits.queue_limit, limit_bytes=limits.queue_limit_bytes)

    async def classify(self, query: Query) -> Answer:
        """Raises CnnsvcError of kind invalid, too_large, not_found, not_ready, overloaded, late or internal."""
        started = time.monotonic()
        record = query.record
        if record is not None:
            record.images = _as_bytes(query.images)
        served = self._registry.get(query.model, query.version, query.label)
        manifest = served.manifest
        if record is not None:
            record.model, record.version = manifest.name, manifest.version
        top_k = check_top_k(query.top_k, len(manifest.class_names))
        deadline = self._deadline(query, started)
        size = _size(query.images)
        num_images = size.num_images
        self._check_number(num_images)
        _check_pixels(query.images, manifest.image)
        self._require(served.batcher, size, deadline - started)
        self.admission.add(num_images, size.num_bytes)
        try:
            inferences = await _infer_all(served, query.images, started, deadline)
        except Exception as error:
            served.statistics.add_failure(started)
            if self._is_own_fault(error, deadline - started):
                served.tally.num_failed += num_images
            raise
        finally:
            self.admission.release(num_images, size.num_bytes)
        served.tally.num_answered += num_images
        results = [_observe(served, inference, top_k) for inference in inferences]
        rejected = _rejected(served, results)
        served.statistics.add_answer(inferences, started)
        if record is not None:
            record.stages, record.results, record.rejected = inferences, results, rejected
        return Answer(
            manifest.name,
            manifest.version,
            results,
            _slowest(inferences, time.monotonic() - started),
            [one.scores_k for one in inferences],
            manifest.class_names,
            rejected,
        )

    async def classify_when_room(self, query: Query) -> Answer:
        """As classify, but waits where that is overloaded; the service's own time limit counts after it.

        Only a few such calls are admitted at once, in the order of their coming: streams keep the engine busy without
        filling the queue that other calls need, and nobody waits behind more of their images than that.
        """
        if query.record is not None:
            query.record.images = _as_bytes(query.images)
        size = _size(query.images)
        patience_seconds = None if query.deadline is None else query.deadline - time.monotonic()
        try:
            async with asyncio.timeout(patience_seconds) as patience, self._turns:
                while not self._has_room(query) and self.admission.is_within_limits(size.num_images, size.num_bytes):
                    await self.admission.wait_for_release()
                patience.reschedule(None)  # from here on classify keeps the deadline
                return await self.classify(query)
        except TimeoutError:
            raise LateError("the deadline passed while the image waited for its turn") from None

    def require_room(self, query: Query, num_bytes: int) -> None:
        """Raises what classify would now, for one encoded image of so many bytes that need not have come yet."""
        now = time.monotonic()
        served = self._registry.get(query.model, query.version, query.label)
        self._require(served.batcher, _Size(1, num_bytes, num_bytes), self._deadline(query, now) - now)

    def _is_own_fault(self, error: Exception, allowed_seconds: float) -> bool:
        """Whether it speaks against the version that was asked: late is only what our own limit ended."""
        if isinstance(error, LateError):
            return allowed_seconds > _OWN_LIMIT * self._limits.request_timeout_ms / 1000
        return not isinstance(error, CnnsvcError) or error.kind is Kind.INTERNAL

    def _deadline(self, query: Query, now: float) -> float:
        limit = now + self._limits.request_timeout_ms / 1000
        deadline = limit if query.deadline is None else min(query.deadline, limit)
        if deadline <= now:
            raise LateError("the deadline had passed before the call was admitted")
        return deadline

    def _check_number(self, num_images: int) -> None:
        limit = self._limits.max_images_per_call
        if num_images == 0:
            raise InvalidError("the call has no image; expected at least one")
        if num_images > limit:
            raise TooLargeError(f"the call has {num_images} images; allowed are {limit}")

    def _require(self, batcher: Batcher, size: "_Size", remaining_seconds: float) -> None:
        """Raises OverloadedError where there is no room or the answer would be late: such a call shall cost nothing."""
        num_images, num_bytes, to_decode = size
        if not self.admission.has_room(num_images, num_bytes):
            self.admission.require_room(num_images, num_bytes, retry_after_seconds=_retry_after(batcher))
        expected_seconds = batcher.expected_seconds(num_images, to_decode)
        if not is_in_time(expected_seconds, remaining_seconds):
            raise OverloadedError(
                f"{num_images} images came and {self.admission.num_images} wait for an answer, which is expected in"
                f" {1000 * expected_seconds:.0f} ms; too close to the deadline, in {1000 * remaining_seconds:.0f} ms",
                _retry_after(batcher),
            )

    def _has_room(self, query: Query) -> bool:
        """Whether classify would not refuse it as overloaded. Raises NotFoundError or NotReadyError."""
        now = time.monotonic()
        num_images, num_bytes, to_decode = _size(query.images)
        batcher = self._registry.get(query.model, query.version, query.label).batcher
        expected_seconds = batcher.expected_seconds(num_images, to_decode)
        return self.admission.has_room(num_images, num_bytes) and is_in_time(
            expected_seconds, self._deadline(query, now) - now
        )


class _Size(NamedTuple):
    """Of a call's images."""

    num_images: int
    num_bytes: int
    """To hold."""
    num_bytes_to_decode: int


def _size(images: Sequence[Image]) -> _Size:
    to_decode = sum(map(num_bytes_to_decode, images))
    pixels = sum(image.nbytes for image in images if not isinstance(image, bytes))
    return _Size(len(images), to_decode + pixels, to_decode)


def _as_bytes(images: Sequence[Image]) -> Sequence[bytes | memoryview]:
    """As they came, pixels as their bytes."""
    return [image if isinstance(image, bytes) else image.reshape(-1).data for image in images]


def _check_pixels(images: Sequence[Image], shape: ImageShape) -> None:
    """Raises InvalidError for pixels that the network does not take."""
    expected = shape.height, shape.width, shape.channels
    for image in images:
        if not isinstance(image, bytes) and image.shape != expected:
            raise InvalidError(f"pixels of shape {list(image.shape)} came; expected {list(expected)}, uint8")


def _retry_after(batcher: Batcher) -> float:
    """When what waits now is answered, in seconds; 1 where nothing is known to wait."""
    return batcher.expected_seconds() or 1.0


async def _infer_all(served: ServedModel, images: Sequence[Image], started: float, deadline: float) -> list[Inference]:
    """All or none: the first image that fails ends the call and is named by its place."""
    loop = asyncio.get_running_loop()
    answers = [served.batcher.submit(image, deadline) for image in images]
    # A timer of its own costs a third of asyncio.timeout, which must be able to cancel whatever is awaited.
    timer = loop.call_later(deadline - started, _end_late, answers, deadline - started)
    try:
        if len(answers) == 1:
            return [await answers[0]]
        return await asyncio.gather(*answers)
    except CnnsvcError as error:
        if len(answers) == 1 or isinstance(error, LateError):
            raise
        failed = (answer.done() and not answer.cancelled() and answer.exception() is error for answer in answers)
        raise type(error)(f"image {list(failed).index(True) + 1} of {len(images)}: {error}") from None
    finally:
        timer.cancel()
        # Those that no stream has taken yet cost nothing then. None stays here: an error's traceback holds this frame,
        # and the answer holds the error.
        while answers:
            answers.pop().cancel()


def _end_late(answers: list["asyncio.Future[Inference]"], seconds: float) -> None:
    for answer in answers:
        if not answer.done():
            answer.set_exception(LateError(f"the answer was not there within {1000 * seconds:.0f} ms"))


def _observe(served: ServedModel, inference: Inference, top_k: int) -> ScoredClasses:
    """The classes of one image, its stages and its best class counted."""
    ranked = rank(inference.scores_k, served.manifest.class_names, top_k)
    name, score = ranked[0]
    metrics = served.metrics
    metrics.decode.observe(inference.decode_seconds)
    metrics.queue.observe(inference.queue_seconds)
    metrics.inference.observe(inference.inference_seconds)
    metrics.total.observe(inference.total_seconds)
    metrics.predictions[name].inc()
    metrics.score.observe(score)
    metrics.drift.observe(name, score, inference.channel_means)
    return ranked


def _rejected(served: ServedModel, results: list[ScoredClasses]) -> frozenset[int]:
    """The places of those of none of the classes, counted."""
    rejects = served.manifest.rejects
    places = frozenset([place for place, ranked in enumerate(results) if rejects(ranked[0][1])])
    if places:
        served.metrics.unknown.inc(len(places))
    return places


def _slowest(inferences: Sequence[Inference], total_seconds: float) -> Timings:
    return Timings(
        decode_ms=1000 * max(one.decode_seconds for one in inferences),
        queue_ms=1000 * max(one.queue_seconds for one in inferences),
        inference_ms=1000 * max(one.inference_seconds for one in inferences),
        total_ms=1000 * total_seconds,
    )
