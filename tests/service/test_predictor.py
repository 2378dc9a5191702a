"""One call through the real rooms: registry, decoding, batcher and OpenVINO."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

from cnnsvc.errors import ImageError, InvalidError, LateError, NotFoundError, OverloadedError, TooLargeError
from cnnsvc.local import LocalClassifier
from cnnsvc.model import ModelOptions
from service.loader import Loader
from service.metrics import Metrics
from service.predictor import Predictor, PredictorLimits, Query
from service.registry import Registry
from tests.bundles import CLASS_NAMES, threshold_between, write_bundle
from tests.encoded import encode

LIMITS = PredictorLimits(queue_limit=8, max_images_per_call=6, request_timeout_ms=10_000)


class Room:
    def __init__(self, limits: PredictorLimits = LIMITS) -> None:
        self.prometheus = CollectorRegistry()
        metrics = Metrics(self.prometheus, version="0")
        self.registry = Registry(metrics)
        self.loader = Loader(self.registry, metrics, ModelOptions("openvino", num_streams=2, max_batch_size=2))
        self.predictor = Predictor(self.registry, limits)

    def value(self, name: str, **labels: str) -> float | None:
        return self.prometheus.get_sample_value(name, labels)


@pytest_asyncio.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    room = Room()
    await room.loader.load_bundle(write_bundle(tmp_path))
    yield room
    room.registry.close()


async def test_the_answer_is_that_of_the_bundle(room: Room, tmp_path: Path) -> None:
    """Names and scores equal those of the same bundle without a server, to the bit; timings add up."""
    local = LocalClassifier(tmp_path / "flowers" / "1", ModelOptions("openvino"))
    images = [encode("PNG", seed=seed) for seed in range(6)]
    answer = await room.predictor.classify(Query(images))
    assert answer.results == [list(local.classify(image).classes) for image in images]
    assert (answer.model, answer.version) == ("flowers", 1)
    timings = answer.timings
    assert 0 < timings.decode_ms < timings.total_ms
    assert timings.total_ms >= timings.inference_ms > 0
    local.close()


async def test_none_of_the_classes(tmp_path: Path) -> None:
    """Images whose best score is below the bundle's threshold are rejected, as without a server, and counted."""
    images = [encode("PNG", seed=seed) for seed in range(6)]
    threshold = threshold_between(write_bundle(tmp_path), images)
    path = write_bundle(tmp_path, threshold=threshold)
    room = Room()
    await room.loader.load_bundle(path)
    answer = await room.predictor.classify(Query(images))
    expected = {place for place, classes in enumerate(answer.results) if classes[0][1] < threshold}
    assert answer.rejected == expected
    assert 0 < len(expected) < 6
    local = LocalClassifier(path, ModelOptions("openvino"))
    assert [local.classify(image, top_k=1).rejected for image in images] == [place in expected for place in range(6)]
    assert room.value("cnnsvc_unknown_images_total", model="flowers", version="2") == len(expected)
    assert (
        sum(
            room.value("cnnsvc_predictions_total", model="flowers", version="2", **{"class": name}) or 0
            for name in CLASS_NAMES
        )
        == 6
    )
    local.close()
    room.registry.close()


async def test_a_bundle_without_a_threshold_rejects_nothing(room: Room) -> None:
    """As all bundles did that have none."""
    answer = await room.predictor.classify(Query([encode("PNG", seed=seed) for seed in range(6)]))
    assert answer.rejected == frozenset()
    assert room.value("cnnsvc_unknown_images_total", model="flowers", version="1") == 0


async def test_pixels_are_answered_as_the_image_that_they_are_of(room: Room) -> None:
    """Decoded pixels get the scores of the encoded image, to the bit, and count as it does."""
    images = [encode("PNG", seed=seed) for seed in range(3)]
    model = room.registry.get("flowers").model
    encoded = await room.predictor.classify(Query(images))
    decoded = await room.predictor.classify(Query([model.decode(images[0]), images[1], model.decode(images[2])]))
    assert decoded.results == encoded.results
    assert np.array_equal(decoded.scores, encoded.scores)
    assert decoded.class_names == list(CLASS_NAMES)
    stages = {"stage": "decode", "model": "flowers", "version": "1"}
    assert room.value("cnnsvc_stage_duration_seconds_count", **stages) == 6
    assert (room.predictor.admission.num_images, room.predictor.admission.num_bytes) == (0, 0)


async def test_top_k_limits_the_classes(room: Room) -> None:
    """top_k 1 gives the best class only; more than there are is refused."""
    (best,) = (await room.predictor.classify(Query([encode("PNG")], top_k=1))).results
    assert len(best) == 1
    with pytest.raises(InvalidError, match="allowed are 1 to 3"):
        await room.predictor.classify(Query([encode("PNG")], top_k=4))


@pytest.mark.parametrize(
    ("query", "error", "message"),
    [
        (Query([]), InvalidError, "has no image"),
        (Query([b"x"] * 7), TooLargeError, "has 7 images; allowed are 6"),
        (Query([b"x"], model="roses"), NotFoundError, "model 'roses' is not served; served are flowers"),
        (Query([b"x"], version=9), NotFoundError, r"version 9 .* served are \[1\]"),
        (Query([b"x"]), ImageError, "^not an image"),
        (Query([encode("PNG"), b"x", encode("PNG")]), ImageError, "^image 2 of 3: not an image"),
        (Query([b"x"], deadline=0.0), LateError, "had passed"),
        (Query([np.zeros((5, 4, 3), np.uint8)]), InvalidError, r"pixels of shape \[5, 4, 3\] came; expected"),
    ],
)
async def test_refusals(room: Room, query: Query, error: type[Exception], message: str) -> None:
    """Each wrong call gets the error of its kind, and leaves nothing admitted."""
    with pytest.raises(error, match=message):
        await room.predictor.classify(query)
    assert len((await room.predictor.classify(Query([encode("PNG")] * 6))).results) == 6


async def test_past_the_bound_calls_are_refused_at_once(room: Room) -> None:
    """Images beyond the queue limit are refused as overloaded while the admitted ones are answered."""
    images = [encode("PNG")] * 4
    outcomes = await asyncio.gather(*(room.predictor.classify(Query(images)) for _ in range(4)), return_exceptions=True)
    assert [type(outcome) is OverloadedError for outcome in outcomes] == [False, False, True, True]
    assert await room.predictor.classify(Query(images))


async def test_past_the_bound_of_bytes_calls_are_refused_at_once(tmp_path: Path) -> None:
    """Encoded bytes beyond the limit are refused as overloaded, and freed with the answers."""
    image = encode("PNG")
    room = Room(PredictorLimits(100, 6, 10_000, queue_limit_bytes=5 * len(image)))
    await room.loader.load_bundle(write_bundle(tmp_path))
    calls = (room.predictor.classify(Query([image] * 2)) for _ in range(3))
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome) is OverloadedError for outcome in outcomes] == [False, False, True]
    assert f"{4 * len(image)} bytes are held" in str(outcomes[2])
    assert room.predictor.admission.num_bytes == 0
    room.registry.close()


@pytest.mark.slow
async def test_what_would_be_late_is_refused_at_once(room: Room) -> None:
    """Behind a backlog a call with a near deadline is overloaded at once, told when to come again; a patient one waits.

    The same is told of an image that is not there yet. Once the backlog is answered, a near deadline is good enough.
    """
    slow = encode("PNG", np.random.default_rng(0).integers(0, 256, (1500, 1500, 3), dtype=np.uint8))
    await room.predictor.classify(Query([slow]))
    backlog = asyncio.create_task(room.predictor.classify(Query([slow] * 6)))
    await asyncio.sleep(0)
    near = Query([encode("PNG")], deadline=time.monotonic() + 0.02)
    with pytest.raises(OverloadedError, match=r"1 images came and 6 wait .* too close to the deadline") as refused:
        await room.predictor.classify(near)
    assert 0.02 < refused.value.retry_after_seconds < 10
    with pytest.raises(OverloadedError, match="too close"):
        room.predictor.require_room(near, 100)
    room.predictor.require_room(Query([]), 100)
    await room.predictor.classify(Query([encode("PNG")]))
    await backlog
    assert await room.predictor.classify(Query([encode("PNG")], deadline=time.monotonic() + 1))


async def test_a_stream_waits_for_bytes(tmp_path: Path) -> None:
    """Where bodies hold all bytes, classify_when_room waits until some are released instead of being refused."""
    image = encode("PNG")
    room = Room(PredictorLimits(100, 6, 10_000, queue_limit_bytes=len(image)))
    await room.loader.load_bundle(write_bundle(tmp_path))
    room.predictor.admission.add(0, 1)
    waiting = asyncio.create_task(room.predictor.classify_when_room(Query([image])))
    with pytest.raises(OverloadedError):
        await room.predictor.classify(Query([image]))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    room.predictor.admission.release(0, 1)
    assert (await waiting).model == "flowers"
    room.registry.close()


async def test_a_deadline_ends_the_wait(room: Room) -> None:
    """A call whose deadline passes while it works is late, in about that time."""
    large = encode("PNG", np.random.default_rng(0).integers(0, 256, (2500, 2500, 3), dtype=np.uint8))
    started = time.monotonic()
    with pytest.raises(LateError):
        await room.predictor.classify(Query([large] * 6, deadline=started + 0.05))
    assert time.monotonic() - started < 1


async def test_stages_and_predictions_are_counted(room: Room) -> None:
    """Each image is observed once in every stage, and counted under the class that scored best with that score.

    Each inference is observed once with its number of images.
    """
    answer = await room.predictor.classify(Query([encode("PNG", seed=seed) for seed in range(5)]))
    for stage in ("decode", "queue", "inference", "total"):
        labels = {"stage": stage, "model": "flowers", "version": "1"}
        assert room.value("cnnsvc_stage_duration_seconds_count", **labels) == 5
    model = {"model": "flowers", "version": "1"}
    assert room.value("cnnsvc_prediction_score_count", **model) == 5
    best_scores = [result[0][1] for result in answer.results]
    assert room.value("cnnsvc_prediction_score_sum", **model) == pytest.approx(sum(best_scores))
    assert room.value("cnnsvc_batch_size_sum", **model) == 5
    for name in CLASS_NAMES:
        labels = {"model": "flowers", "version": "1", "class": name}
        expected = sum(result[0][0] == name for result in answer.results)
        assert room.value("cnnsvc_predictions_total", **labels) == expected
