"""From decoded images to scores: a queue in front of an engine's streams that adds no delay of its own."""

import asyncio
import functools
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from cnnsvc.engines.base import Engine, Scores
from cnnsvc.errors import LateError
from cnnsvc.pixels import Pixels
from service.batch_policy import next_batch_size


@dataclass(frozen=True, slots=True)
class Inference:
    scores_k: Scores
    """float32 (K,)"""
    queue_seconds: float
    inference_seconds: float


@dataclass(frozen=True, slots=True)
class _Waiting:
    image_hwc: Pixels
    deadline: float
    queued_at: float
    answer: asyncio.Future[Inference]


class Batcher:
    """Runs on one event loop; the engine runs in as many threads as it has streams."""

    def __init__(
        self,
        engine: Engine,
        *,
        max_batch_size: int,
        observe_batch_size: Callable[[int], None] = lambda num_images: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._max_batch_size = max_batch_size
        self._observe_batch_size = observe_batch_size
        self._clock = clock
        self._queue: deque[_Waiting] = deque()
        self._num_free_streams = engine.num_streams
        self._threads = ThreadPoolExecutor(engine.num_streams, thread_name_prefix="engine")

    @property
    def num_queued(self) -> int:
        return len(self._queue)

    def submit(self, image_hwc: Pixels, deadline: float) -> asyncio.Future[Inference]:
        """The inference to come, of uint8 (H, W, C). It fails with LateError past the deadline, or with EngineError."""
        answer: asyncio.Future[Inference] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(image_hwc, deadline, self._clock(), answer))
        self._dispatch()
        return answer

    def close(self) -> None:
        """Waits for the inferences that run. Call it when nothing is queued any more."""
        self._threads.shutdown()
        self._engine.close()

    def _dispatch(self) -> None:
        while batch_size := next_batch_size(len(self._queue), self._num_free_streams, self._max_batch_size):
            batch = [self._queue.popleft() for _ in range(batch_size)]
            if batch := [waiting for waiting in batch if self._is_wanted(waiting)]:
                self._num_free_streams -= 1
                self._observe_batch_size(len(batch))
                running = asyncio.get_running_loop().run_in_executor(self._threads, self._infer, batch)
                running.add_done_callback(functools.partial(self._deliver, batch))

    def _is_wanted(self, waiting: _Waiting) -> bool:
        """Nobody pays for inference that nobody reads: its caller is gone, or its deadline has passed."""
        if waiting.answer.done():
            return False
        if self._clock() >= waiting.deadline:
            waiting.answer.set_exception(LateError("the deadline passed while the image was queued"))
            return False
        return True

    def _infer(self, batch: list[_Waiting]) -> tuple[Scores, float, float]:
        images_nhwc = np.stack([waiting.image_hwc for waiting in batch])
        started = self._clock()
        scores_nk = self._engine.run(images_nhwc)
        return scores_nk, started, self._clock() - started

    def _deliver(self, batch: list[_Waiting], done: asyncio.Future[tuple[Scores, float, float]]) -> None:
        self._num_free_streams += 1
        error = done.exception()
        for index, waiting in enumerate(batch):
            if waiting.answer.done():
                continue
            if error is not None:
                waiting.answer.set_exception(error)
            else:
                scores_nk, started, seconds = done.result()
                waiting.answer.set_result(Inference(scores_nk[index], started - waiting.queued_at, seconds))
        self._dispatch()
