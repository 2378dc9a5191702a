"""The batcher: nothing lost, nothing late, nothing paid for twice; the policy as arithmetic."""

import asyncio
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnsvc.engines.base import Images, Scores
from cnnsvc.errors import EngineError, ImageError, LateError
from cnnsvc.pixels import Pixels
from service.batch_policy import batch_share
from service.batcher import Batcher, Inference
from tests.fakes import FakeEngine
from tests.service.frontends.http_door import until

FAR = float("inf")


class GatedEngine(FakeEngine):
    """Answers with the first pixel of each image; waits at a gate and writes down its batches."""

    def __init__(self, num_streams: int = 1) -> None:
        self.num_streams = num_streams
        self.batch_sizes: list[int] = []
        self.deadlines: list[float] = []
        self.gate = threading.Event()
        self.is_closed = False
        self.error: Exception | None = None

    def run(self, images_nhwc: Images, deadline: float = FAR) -> Scores:
        self.batch_sizes.append(len(images_nhwc))
        self.deadlines.append(deadline)
        assert self.gate.wait(10)
        if self.error:
            raise self.error
        return images_nhwc[:, 0, 0, :1].astype(np.float32)

    def close(self) -> None:
        self.is_closed = True


def decode(image_bytes: bytes) -> Pixels:
    """An image of the one value that the byte says; b"" is none."""
    if not image_bytes:
        raise ImageError("no image")
    return np.full((2, 2, 3), image_bytes[0], np.uint8)


def image(value: int) -> bytes:
    return bytes([value])


@pytest.mark.parametrize("batch_size", [1, 3])
async def test_every_image_gets_its_own_scores(batch_size: int) -> None:
    """Answers match their images, whatever batches they went in."""
    engine = GatedEngine(num_streams=2)
    engine.gate.set()
    batcher = Batcher(decode, engine, batch_size=batch_size)
    answers = await asyncio.gather(*(batcher.submit(image(value), FAR) for value in range(50)))
    assert [answer.scores_k[0] for answer in answers] == list(range(50))
    assert all(min(one.decode_seconds, one.queue_seconds, one.inference_seconds) >= 0 for one in answers)
    assert all(one.total_seconds >= one.inference_seconds for one in answers)
    assert max(engine.batch_sizes) <= batch_size
    batcher.close()
    assert engine.is_closed


async def test_the_engine_is_told_the_latest_deadline_of_a_batch() -> None:
    """One image's deadline is its own; in a batch nobody's answer is given up for somebody else's."""
    engine = GatedEngine()
    batcher = Batcher(decode, engine, batch_size=3)
    now = time.monotonic()
    answers = [batcher.submit(image(0), now + 50)]
    await until(lambda: bool(engine.batch_sizes))
    answers += [batcher.submit(image(value), now + 50 + 10 * value) for value in (2, 3, 1)]
    engine.gate.set()
    await asyncio.gather(*answers)
    assert engine.batch_sizes == [1, 3]
    assert engine.deadlines == [now + 50, now + 80]
    batcher.close()


@pytest.mark.parametrize("batch_size", [1, 3])
async def test_every_image_is_measured(batch_size: int) -> None:
    """An answer carries what was measured of its image's pixels, whatever batch it went in; by itself nothing is."""
    engine = GatedEngine()
    engine.gate.set()
    batcher = Batcher(decode, engine, batch_size=batch_size, measure=lambda image_hwc: (float(image_hwc[0, 0, 0]),))
    answers = await asyncio.gather(*(batcher.submit(image(value), FAR) for value in range(20)))
    assert [answer.channel_means for answer in answers] == [(value,) for value in range(20)]
    batcher.close()
    batcher = Batcher(decode, engine)
    assert (await batcher.submit(image(1), FAR)).channel_means == ()
    batcher.close()


async def test_a_free_stream_takes_what_is_queued() -> None:
    """The first image goes at once and alone; those that came meanwhile go together, up to the largest batch.

    The size of each batch is observed.
    """
    engine = GatedEngine()
    observed: list[int] = []
    batcher = Batcher(decode, engine, batch_size=4, observe_batch_size=observed.append)
    first = batcher.submit(image(0), FAR)
    await until(lambda: engine.batch_sizes == [1])
    answers = [batcher.submit(image(value), FAR) for value in range(5)]
    assert batcher.num_queued == 5
    engine.gate.set()
    await asyncio.gather(first, *answers)
    assert engine.batch_sizes == observed == [1, 4, 1]
    batcher.close()


async def test_late_and_abandoned_images_cost_nothing() -> None:
    """An image whose deadline passed in the queue fails as late, one whose caller went is dropped; the others go on."""
    engine, decoded = GatedEngine(), list[int]()

    def decode_and_note(image_bytes: bytes) -> Pixels:
        decoded.append(image_bytes[0])
        return decode(image_bytes)

    batcher = Batcher(decode_and_note, engine, batch_size=4)
    running = batcher.submit(image(1), FAR)
    await until(lambda: engine.batch_sizes == [1])
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
    assert decoded == [1, 4]
    assert sum(engine.batch_sizes) == 2
    batcher.close()


async def test_a_failing_engine_fails_its_batch_only() -> None:
    """The error reaches every caller of that batch, and the next image is served."""
    engine = GatedEngine()
    engine.gate.set()
    engine.error = EngineError("broken")
    batcher = Batcher(decode, engine, batch_size=4)
    with pytest.raises(EngineError, match="broken"):
        await batcher.submit(image(1), FAR)
    engine.error = None
    assert (await batcher.submit(image(2), FAR)).scores_k[0] == 2
    batcher.close()


async def test_a_bad_image_fails_alone() -> None:
    """Its own caller gets the error; the others of its batch are answered."""
    engine = GatedEngine()
    batcher = Batcher(decode, engine, batch_size=4)
    first = batcher.submit(image(1), FAR)
    await until(lambda: engine.batch_sizes == [1])
    answers = [batcher.submit(data, FAR) for data in (image(2), b"", image(3))]
    engine.gate.set()
    found = await asyncio.gather(first, *answers, return_exceptions=True)
    assert [one.scores_k[0] if isinstance(one, Inference) else type(one) for one in found] == [1, 2, ImageError, 3]
    batcher.close()


async def test_closing_answers_what_is_queued() -> None:
    """Nothing that was submitted is lost, with several streams and batches."""
    engine = GatedEngine(num_streams=3)
    engine.gate.set()
    batcher = Batcher(decode, engine, batch_size=4)
    answers = [batcher.submit(image(value), FAR) for value in range(20)]
    batcher.close()
    assert [answer.scores_k[0] for answer in await asyncio.gather(*answers)] == list(range(20))


async def test_an_idle_stream_keeps_no_image() -> None:
    """What was answered is freed, and so is what was refused by the decoder."""
    engine = GatedEngine()
    engine.gate.set()

    def refuse_nines(image_bytes: bytes) -> Pixels:
        return decode(b"" if image_bytes[0] == 9 else image_bytes)

    batcher = Batcher(refuse_nines, engine)
    good, bad = bytes([7]) * 1000, bytes([9]) * 1000
    before = sys.getrefcount(good), sys.getrefcount(bad)
    await batcher.submit(good, FAR)
    with pytest.raises(ImageError):
        await batcher.submit(bad, FAR)
    await until(lambda: (sys.getrefcount(good), sys.getrefcount(bad)) == before)
    batcher.close()


async def test_what_waits_in_vain_keeps_no_image() -> None:
    """The bytes of an image whose caller has gone are freed at once, not when a stream comes to it."""
    engine = GatedEngine()
    batcher = Batcher(decode, engine)
    running = batcher.submit(image(1), FAR)
    await until(lambda: engine.batch_sizes == [1])
    data = bytes([7]) * 1000
    before = sys.getrefcount(data)
    abandoned = batcher.submit(data, FAR)
    abandoned.cancel()
    await until(lambda: sys.getrefcount(data) == before)
    assert batcher.num_queued == 1
    engine.gate.set()
    await running
    batcher.close()


async def test_a_stream_outlives_what_nobody_expected(caplog: pytest.LogCaptureFixture) -> None:
    """A fault outside of decoder and engine fails its batch and is logged; the same stream answers the next image."""
    engine, faults = GatedEngine(), [RuntimeError("fault")]
    engine.gate.set()

    def observe(num_images: int) -> None:
        if faults:
            raise faults.pop()

    batcher = Batcher(decode, engine, observe_batch_size=observe)
    with pytest.raises(RuntimeError, match="fault"):
        await batcher.submit(image(1), FAR)
    assert (await batcher.submit(image(2), FAR)).scores_k[0] == 2
    assert "a stream failed" in caplog.text
    batcher.close()


@given(num_queued=st.integers(0, 1000), num_streams=st.integers(1, 64), batch_size=st.integers(1, 64))
def test_policy(num_queued: int, num_streams: int, batch_size: int) -> None:
    """With the one already taken never more than allowed or than there are; fair over the streams; one alone at 1."""
    share = batch_share(num_queued, num_streams, batch_size)
    assert 0 <= share <= min(num_queued, batch_size - 1)
    assert (share + 1) * num_streams < num_queued + 1 + num_streams
    if batch_size == 1:
        assert share == 0


async def test_what_waits_is_expected_to_take_its_time() -> None:
    """By the pace of what was answered the wait grows with what is submitted, and shrinks as callers go."""
    engine, now = GatedEngine(), [0.0]

    def take_a_second() -> float:
        now[0] += 0.5  # between any two looks at the clock
        return now[0]

    engine.gate.set()
    batcher = Batcher(decode, engine, clock=take_a_second)
    await batcher.submit(image(1), FAR)
    assert batcher.expected_seconds(1, 1) == 0
    engine.gate.clear()
    answers = [batcher.submit(image(value), FAR) for value in range(2, 6)]
    await until(lambda: engine.batch_sizes == [1, 1])
    assert batcher.expected_seconds() == pytest.approx(4 * (0.5 + 0.5))
    assert batcher.expected_seconds(2, 2) == pytest.approx(6 * (0.5 + 0.5))
    answers.pop().cancel()
    await until(lambda: batcher.expected_seconds() == pytest.approx(3))
    engine.gate.set()
    await asyncio.gather(*answers)
    assert batcher.expected_seconds() == 0
    batcher.close()
