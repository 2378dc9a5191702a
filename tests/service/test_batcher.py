"""The batcher: nothing lost, nothing late, nothing paid for twice; the policy as arithmetic."""

import asyncio
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnsvc.engines.base import Images, Scores
from cnnsvc.errors import EngineError, LateError
from service.batch_policy import next_batch_size
from service.batcher import Batcher

FAR = float("inf")


class GatedEngine:
    """Answers with the first pixel of each image; waits at a gate and writes down its batches."""

    name = "gated"
    artifact = "model.onnx"

    def __init__(self, num_streams: int = 1) -> None:
        self.num_streams = num_streams
        self.batch_sizes: list[int] = []
        self.gate = threading.Event()
        self.is_closed = False
        self.error: Exception | None = None

    def run(self, images_nhwc: Images) -> Scores:
        self.batch_sizes.append(len(images_nhwc))
        assert self.gate.wait(10)
        if self.error:
            raise self.error
        return images_nhwc[:, 0, 0, :1].astype(np.float32)

    def close(self) -> None:
        self.is_closed = True


def image(value: int) -> Images:
    return np.full((2, 2, 3), value, np.uint8)


async def test_every_image_gets_its_own_scores() -> None:
    """Answers match their images, whatever batches they went in."""
    engine = GatedEngine(num_streams=2)
    engine.gate.set()
    batcher = Batcher(engine, max_batch_size=3)
    answers = await asyncio.gather(*(batcher.submit(image(value), FAR) for value in range(50)))
    assert [answer.scores_k[0] for answer in answers] == list(range(50))
    assert all(answer.queue_seconds >= 0 and answer.inference_seconds >= 0 for answer in answers)
    batcher.close()
    assert engine.is_closed


async def test_a_free_stream_takes_what_is_queued() -> None:
    """The first image goes at once and alone; those that came meanwhile go together, up to the largest batch.

    The size of each batch is observed.
    """
    engine = GatedEngine()
    observed: list[int] = []
    batcher = Batcher(engine, max_batch_size=4, observe_batch_size=observed.append)
    answers = [batcher.submit(image(value), FAR) for value in range(6)]
    await asyncio.sleep(0.01)
    assert (engine.batch_sizes, batcher.num_queued) == ([1], 5)
    engine.gate.set()
    await asyncio.gather(*answers)
    assert engine.batch_sizes == observed == [1, 4, 1]
    batcher.close()


async def test_late_and_abandoned_images_cost_no_inference() -> None:
    """An image whose deadline passed in the queue fails as late, one whose caller went is dropped; the others go on."""
    engine = GatedEngine()
    batcher = Batcher(engine, max_batch_size=4)
    running = batcher.submit(image(1), FAR)
    late = batcher.submit(image(2), time.monotonic() + 0.001)
    abandoned = batcher.submit(image(3), FAR)
    wanted = batcher.submit(image(4), FAR)
    abandoned.cancel()
    await asyncio.sleep(0.01)
    engine.gate.set()
    with pytest.raises(LateError):
        await late
    assert (await running).scores_k[0] == 1
    assert (await wanted).scores_k[0] == 4
    assert sum(engine.batch_sizes) == 2
    batcher.close()


async def test_a_failing_engine_fails_its_batch_only() -> None:
    """The error reaches every caller of that batch, and the next image is served."""
    engine = GatedEngine()
    engine.gate.set()
    engine.error = EngineError("broken")
    batcher = Batcher(engine, max_batch_size=4)
    with pytest.raises(EngineError, match="broken"):
        await batcher.submit(image(1), FAR)
    engine.error = None
    assert (await batcher.submit(image(2), FAR)).scores_k[0] == 2
    batcher.close()


@given(num_queued=st.integers(0, 1000), num_free=st.integers(0, 64), largest=st.integers(1, 64))
def test_policy(num_queued: int, num_free: int, largest: int) -> None:
    """Never more than is queued or allowed; never idle while a stream and an image wait; fair over the free streams."""
    size = next_batch_size(num_queued, num_free, largest)
    assert size <= min(num_queued, largest)
    assert (size > 0) == (num_queued > 0 and num_free > 0)
    if num_queued <= num_free:
        assert size <= 1
