"""From images to scores: a queue that an engine's streams take from the moment they are free.

Each stream is a thread that decodes and infers: one hand-over an image instead of two, what waits is the small encoded
image instead of its pixels, and a stream goes on without waiting for the event loop.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import numpy as np

from cnnsvc.bins import ChannelMeans
from cnnsvc.engines.base import Engine, Scores
from cnnsvc.errors import CnnsvcError, LateError
from cnnsvc.pixels import Pixels
from service.batch_policy import batch_share
from service.pace import Backlog, Pace, expected_seconds

Image = bytes | Pixels
"""Encoded, or decoded as the model's network wants it: uint8 (H, W, C)."""

_log = logging.getLogger("cnnsvc.batcher")


@dataclass(frozen=True, slots=True)
class Inference:
    scores_k: Scores
    """float32 (K,)"""
    queued_at: float
    """This and those below in seconds of the batcher's clock, one after the other."""
    taken_at: float
    decoded_at: float
    begun_at: float
    ended_at: float
    channel_means: ChannelMeans
    """As `measure` found them."""
    batch_size: int = 1
    """Images that were inferred together, this one among them."""

    @property
    def decode_seconds(self) -> float:
        return self.decoded_at - self.taken_at

    @property
    def queue_seconds(self) -> float:
        """All waiting."""
        return self.taken_at - self.queued_at + self.begun_at - self.decoded_at

    @property
    def inference_seconds(self) -> float:
        return self.ended_at - self.begun_at

    @property
    def total_seconds(self) -> float:
        return self.ended_at - self.queued_at


@dataclass(slots=True)
class _Waiting:
    image: Image
    """Empty once it is answered or its caller is gone: what waits in vain must not keep memory."""
    num_bytes: int
    """To decode."""
    deadline: float
    queued_at: float
    answer: asyncio.Future[Inference]
    backlog: Backlog

    def forget(self, answer: asyncio.Future[Inference]) -> None:
        self.image = b""
        self.backlog.num_images -= 1
        self.backlog.num_bytes -= self.num_bytes


_Outcome = tuple[_Waiting, Inference | Exception]


class Batcher:
    """Made and used on one event loop."""

    def __init__(
        self,
        decode: Callable[[bytes], Pixels],
        engine: Engine,
        *,
        batch_size: int = 1,
        observe_batch_size: Callable[[int], None] = lambda num_images: None,
        measure: Callable[[Pixels], ChannelMeans] = lambda image_hwc: (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`decode`, `measure` and the engine are called from as many threads as the engine has streams."""
        self._decode = decode
        self._engine = engine
        self._batch_size = batch_size
        self._observe_batch_size = observe_batch_size
        self._measure = measure
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._backlog = Backlog()
        self._pace = Pace()
        self._threads = [
            threading.Thread(target=self._work, name=f"stream-{number}", daemon=True)
            for number in range(engine.num_streams)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def num_queued(self) -> int:
        return self._queue.qsize()

    def expected_seconds(self, num_images: int = 0, num_bytes: int = 0) -> float:
        """Until so many more would be answered, as far as those before them tell; 0 where a stream is free."""
        return expected_seconds(self._pace, self._backlog, len(self._threads), num_images, num_bytes)

    def submit(self, image: Image, deadline: float) -> asyncio.Future[Inference]:
        """The inference to come. It fails with LateError past the deadline, ImageError, TooLargeError or EngineError.

        Pixels must have the shape that the engine takes. Cancelled before a stream takes it, it costs nothing.
        """
        answer: asyncio.Future[Inference] = self._loop.create_future()
        num_bytes = num_bytes_to_decode(image)
        waiting = _Waiting(image, num_bytes, deadline, self._clock(), answer, self._backlog)
        self._backlog.num_images += 1
        self._backlog.num_bytes += num_bytes
        answer.add_done_callback(waiting.forget)
        self._queue.put(waiting)
        return answer

    def close(self) -> None:
        """Waits for what is queued. Nothing may be submitted any more."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()
        self._engine.close()

    def _work(self) -> None:
        # A function of its own for each turn, so that an idle stream keeps no image.
        while self._take_turn():
            pass

    def _take_turn(self) -> bool:
        """Waits for an image and answers it, with others where batches pay; False at the end."""
        first = self._queue.get()
        if first is None:
            return False
        batch = [first, *self._take_more(batch_share(self.num_queued, len(self._threads), self._batch_size))]
        try:
            outcomes = self._answer(batch)
        except Exception as error:  # a stream never ends before its time, and nobody waits in vain
            _log.exception("a stream failed")
            outcomes = [(waiting, error) for waiting in batch]
        if outcomes:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._deliver, outcomes)
        return True

    def _take_more(self, num_images: int) -> Iterator[_Waiting]:
        with contextlib.suppress(Empty):
            for _ in range(num_images):
                waiting = self._queue.get_nowait()
                if waiting is None:  # the end is for a thread that has nothing else to do
                    self._queue.put(None)
                    return
                yield waiting

    def _answer(self, batch: list[_Waiting]) -> list[_Outcome]:
        outcomes: list[_Outcome] = []
        decoded: list[_Decoded] = []
        for waiting in batch:
            if waiting.answer.done():  # its caller is gone
                continue
            found = self._decode_one(waiting)
            if isinstance(found, _Decoded):
                decoded.append(found)
            else:
                outcomes.append((waiting, found))
        return [*outcomes, *self._infer(decoded)] if decoded else outcomes

    def _decode_one(self, waiting: _Waiting) -> "_Decoded | Exception":
        began = self._clock()
        if began >= waiting.deadline:
            return LateError("the deadline passed while the image was queued")
        try:
            image_hwc = self._decode(waiting.image) if isinstance(waiting.image, bytes) else waiting.image
        except CnnsvcError as error:
            # Their frames hold this thread's, and its list of outcomes holds the error: a cycle that keeps the image.
            error.__traceback__ = error.__context__ = None
            return error
        except Exception as error:  # whatever it is, it is this caller's answer
            return error
        return _Decoded(waiting, image_hwc, began, self._clock())

    def _infer(self, decoded: list["_Decoded"]) -> list[_Outcome]:
        started = self._clock()
        self._observe_batch_size(len(decoded))
        scores_nk = self._scores(decoded)
        if isinstance(scores_nk, Exception):
            return [(one.waiting, scores_nk) for one in decoded]
        ended = self._clock()
        return [
            (
                one.waiting,
                Inference(
                    scores_k,
                    queued_at=one.waiting.queued_at,
                    taken_at=one.taken_at,
                    decoded_at=one.decoded_at,
                    begun_at=started,
                    ended_at=ended,
                    channel_means=self._measure(one.image_hwc),
                    batch_size=len(decoded),
                ),
            )
            for one, scores_k in zip(decoded, scores_nk, strict=True)
        ]

    def _scores(self, decoded: list["_Decoded"]) -> Scores | Exception:
        deadline = max(one.waiting.deadline for one in decoded)  # who has less time left than others waits no longer
        try:
            if len(decoded) == 1:
                return self._engine.run(decoded[0].image_hwc[None], deadline)
            return self._engine.run(np.stack([one.image_hwc for one in decoded]), deadline)
        except Exception as error:  # whatever it is, it is the answer to these callers
            return error

    def _deliver(self, outcomes: list[_Outcome]) -> None:
        num_inferred = sum(isinstance(outcome, Inference) for _, outcome in outcomes)
        for waiting, outcome in outcomes:
            if isinstance(outcome, Inference):
                self._pace.observe(
                    waiting.num_bytes,
                    decode_seconds=outcome.decode_seconds,
                    inference_seconds=outcome.inference_seconds / num_inferred,
                )
                if not waiting.answer.done():
                    waiting.answer.set_result(outcome)
            elif not waiting.answer.done():
                waiting.answer.set_exception(outcome)


def num_bytes_to_decode(image: Image) -> int:
    return len(image) if isinstance(image, bytes) else 0


@dataclass(frozen=True, slots=True)
class _Decoded:
    waiting: _Waiting
    image_hwc: Pixels
    taken_at: float
    decoded_at: float
