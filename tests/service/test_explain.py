"""Explanations through the batcher that answers ordinary calls: right, patient, and counted as no prediction."""

import asyncio
import threading
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from cnnsvc.bundle import Bundle
from cnnsvc.engines.base import Images, Scores
from cnnsvc.engines.choice import Choice
from cnnsvc.errors import EngineError, ImageError, InvalidError, LateError, NotFoundError, OverloadedError
from cnnsvc.explain import explain_locally
from cnnsvc.manifest import ImageShape
from cnnsvc.model import Model, ModelOptions
from cnnsvc.occlusion import LEAST_BUDGET, plan_grid, strongest
from service.batcher import Batcher
from service.explain import Explainer
from service.metrics import Metrics
from service.predictor import Predictor, PredictorLimits, Query
from service.registry import ServedModel
from tests.bundles import manifest_of, threshold_between, write_bundle
from tests.encoded import encode
from tests.fakes import TRIALS, FakeRegistry, FunctionEngine
from tests.service.test_predictor import Room

SIDE = 32
IMAGE = np.zeros((SIDE, SIDE, 3), np.uint8)
IMAGE[20:26, 4:10] = 255
PNG = encode("PNG", IMAGE)


def brightness_of_the_corner(images_nhwc: Images) -> Scores:
    """Two classes: the first one is as sure as the corner is bright."""
    bright = images_nhwc[:, 20:26, 4:10].mean(axis=(1, 2, 3)) / 255
    return np.stack([bright, 1 - bright], axis=1).astype(np.float32)


class Stand:
    """One model whose engine is a function of the images."""

    def __init__(self, engine: FunctionEngine, version: int = 1) -> None:
        manifest = manifest_of(class_names=["corner", "other"], shape=ImageShape(SIDE, SIDE, 3))
        manifest = msgspec.structs.replace(manifest, version=version)
        model = Model(Bundle(Path("nowhere"), manifest), Choice(engine, 1, TRIALS), ModelOptions())
        metrics = Metrics(CollectorRegistry(), version="test")
        self.batcher = Batcher(model.decode, engine)
        self.served = ServedModel(model, self.batcher, metrics.add_model(manifest, TRIALS, lambda: 0))
        self.registry = FakeRegistry([self.served])
        self.predictor = Predictor(self.registry, PredictorLimits(8, 6, 10_000))
        self.explainer = Explainer(self.predictor, self.registry)

    def query(self, image: bytes = PNG, *, seconds: float = 10) -> Query:
        return Query([image], "flowers", deadline=time.monotonic() + seconds)

    def holds_nothing(self) -> bool:
        admission = self.predictor.admission
        return (admission.num_images, admission.num_bytes, self.batcher.num_queued) == (0, 0, 0)


async def test_the_map_peaks_where_the_network_looks() -> None:
    """A network that looks at one corner is explained by that corner; the other class falls nowhere there."""
    stand = Stand(FunctionEngine(brightness_of_the_corner))
    found = await stand.explainer.explain(stand.query(), "", 200)
    explanation = found.explanation
    assert (explanation.model, explanation.version, explanation.class_name) == ("flowers", 1, "corner")
    assert explanation.score == pytest.approx(1.0)
    assert explanation.grid == plan_grid(SIDE, SIDE, 200)
    box, drop = strongest(explanation.grid, explanation.heat)[0]
    assert drop > 0.5
    assert box.top <= 23 < box.bottom
    assert box.left <= 7 < box.right
    other = (await stand.explainer.explain(stand.query(), "other", 200)).explanation
    assert other.class_name == "other"
    assert np.allclose(other.heat, -np.asarray(explanation.heat), atol=1e-5)
    assert 0 <= found.decode_seconds <= found.total_seconds
    assert stand.holds_nothing()


async def test_it_is_that_of_the_bundle_and_counts_as_no_prediction(tmp_path: Path) -> None:
    """The map is that of the same bundle without a server; predictions, stages, drift and tallies stay as before."""
    room = Room()
    await room.loader.load_bundle(write_bundle(tmp_path))
    served = room.registry.get("flowers")
    await room.predictor.classify(Query([encode("PNG")]))

    def counted() -> dict[str, float]:
        return {
            f"{sample.name}{sample.labels}": sample.value
            for family in room.prometheus.collect()
            for sample in family.samples
            if family.name.startswith(("cnnsvc_prediction", "cnnsvc_stage")) and not sample.name.endswith("_created")
        }

    before, tally = counted(), (served.tally.num_answered, served.tally.num_failed)
    assert any("predictions" in name for name in before)
    assert served.metrics.drift.num_images == 1
    explainer = Explainer(room.predictor, room.registry)
    query = Query([encode("PNG", seed=3)], deadline=time.monotonic() + 20)
    found = await explainer.explain(query, "", 100)
    assert counted() == before
    assert served.metrics.drift.num_images == 1
    assert (served.tally.num_answered, served.tally.num_failed) == tally == (1, 0)
    local = explain_locally(tmp_path / "flowers" / "1", ModelOptions("openvino"), encode("PNG", seed=3), "", 100)
    assert found.explanation == local
    classified = await room.predictor.classify(Query([encode("PNG", seed=3)]))
    assert (local.class_name, local.score) == classified.results[0][0]
    room.registry.close()


async def test_an_image_of_no_class_is_explained_too(tmp_path: Path) -> None:
    """Server and bundle say that it is rejected, by its best score, whatever class is explained."""
    images = [encode("PNG", seed=seed) for seed in range(6)]
    path = write_bundle(tmp_path, threshold=threshold_between(write_bundle(tmp_path / "without"), images))
    room = Room()
    await room.loader.load_bundle(path)
    rejected = (await room.predictor.classify(Query(images))).rejected
    explainer = Explainer(room.predictor, room.registry)
    for image, is_rejected in [(images[min(rejected)], True), (images[min({*range(6)} - rejected)], False)]:
        query = Query([image], "flowers", deadline=time.monotonic() + 10)
        found = (await explainer.explain(query, "tulip", LEAST_BUDGET)).explanation
        assert found.rejected == is_rejected
        assert explain_locally(path, ModelOptions("openvino"), image, "tulip", LEAST_BUDGET) == found
    room.registry.close()


async def test_ordinary_calls_are_not_behind_it() -> None:
    """Two of its images at most are with a stream, so a call in between is answered right, and long before it."""
    most_queued = 0

    def slow(images_nhwc: Images) -> Scores:
        nonlocal most_queued
        most_queued = max(most_queued, stand.batcher.num_queued)
        time.sleep(0.005)
        return brightness_of_the_corner(images_nhwc)

    stand = Stand(FunctionEngine(slow))
    explaining = asyncio.create_task(stand.explainer.explain(stand.query(), "", 200))
    await asyncio.sleep(0.1)
    for _ in range(3):
        answer = await stand.predictor.classify(stand.query())
        assert answer.results[0][0] == ("corner", 1.0)
        assert not explaining.done()
    assert most_queued <= 2  # one of its own, and the call's
    await explaining
    assert stand.served.tally.num_answered == 3


async def test_its_deadline_ends_it() -> None:
    """It is late when its time is over, in about that time, and leaves nothing behind."""

    def slow(images_nhwc: Images) -> Scores:
        time.sleep(0.01)
        return brightness_of_the_corner(images_nhwc)

    stand = Stand(FunctionEngine(slow))
    started = time.monotonic()
    with pytest.raises(LateError):
        await stand.explainer.explain(stand.query(seconds=0.2), "", 200)
    assert time.monotonic() - started < 1.5
    assert await stand.predictor.classify(stand.query())
    assert stand.holds_nothing()


async def test_only_a_few_wait() -> None:
    """One is made at a time; where four are there already, a fifth is refused as overloaded at once."""
    go_on = threading.Event()

    def stuck(images_nhwc: Images) -> Scores:
        go_on.wait(10)
        return brightness_of_the_corner(images_nhwc)

    stand = Stand(FunctionEngine(stuck))
    calls = [asyncio.create_task(stand.explainer.explain(stand.query(), "", 16)) for _ in range(4)]
    await asyncio.sleep(0.05)
    assert stand.predictor.admission.num_images == 4
    with pytest.raises(OverloadedError, match="4 explanations are under way or wait"):
        await stand.explainer.explain(stand.query(), "", 16)
    go_on.set()
    assert len({str(one.explanation) for one in await asyncio.gather(*calls)}) == 1
    assert stand.holds_nothing()


async def test_the_queue_limit_holds_for_it() -> None:
    """It counts as one image, and is refused as overloaded where there is no room for one."""
    stand = Stand(FunctionEngine(brightness_of_the_corner))
    stand.predictor.admission.add(8, 0)
    with pytest.raises(OverloadedError):
        await stand.explainer.explain(stand.query(), "", 16)


async def test_a_version_that_goes_meanwhile() -> None:
    """Its batcher is asked no more: the explanation ends as any call for a version that is not there."""
    num_runs = 0

    def going(images_nhwc: Images) -> Scores:
        nonlocal num_runs
        num_runs += 1
        if num_runs == 10:
            stand.registry.served.clear()
        return brightness_of_the_corner(images_nhwc)

    stand = Stand(FunctionEngine(going))
    with pytest.raises(NotFoundError):
        await stand.explainer.explain(stand.query(), "", 200)
    await asyncio.to_thread(stand.batcher.close)
    assert num_runs < 20
    assert stand.holds_nothing()


async def test_a_version_that_is_followed_by_another_meanwhile() -> None:
    """A caller who named none gets the explanation of the one that answers by then."""
    num_runs = 0

    def going(images_nhwc: Images) -> Scores:
        nonlocal num_runs
        num_runs += 1
        if num_runs == 10:
            stand.registry.served[:] = [following.served]
        return brightness_of_the_corner(images_nhwc)

    stand, following = Stand(FunctionEngine(going)), Stand(FunctionEngine(brightness_of_the_corner), version=2)
    found = await stand.explainer.explain(stand.query(), "", 200)
    assert (found.explanation.version, found.explanation.heat == []) == (2, False)
    await asyncio.to_thread(stand.batcher.close)
    await asyncio.to_thread(following.batcher.close)
    assert stand.holds_nothing()


async def test_an_engine_that_fails_is_not_held_against_the_version() -> None:
    """The error is the caller's answer, once, and no failure of the tally by which versions are judged."""
    num_runs = 0

    def failing(images_nhwc: Images) -> Scores:
        nonlocal num_runs
        num_runs += 1
        if num_runs > 5:
            raise EngineError("out of order")
        return brightness_of_the_corner(images_nhwc)

    stand = Stand(FunctionEngine(failing))
    with pytest.raises(EngineError, match="out of order"):
        await stand.explainer.explain(stand.query(), "", 200)
    await asyncio.sleep(0.05)
    assert stand.served.tally.num_failed == 0
    assert stand.holds_nothing()


async def test_what_cannot_be_explained() -> None:
    """A class that is none, and what is no image."""
    stand = Stand(FunctionEngine(brightness_of_the_corner))
    with pytest.raises(InvalidError, match="'lily'; expected one of corner, other"):
        await stand.explainer.explain(stand.query(), "lily", 200)
    with pytest.raises(ImageError):
        await stand.explainer.explain(stand.query(b"no image"), "", 200)
    assert stand.holds_nothing()


async def test_a_caller_who_leaves_ends_it() -> None:
    """Nothing more is asked for somebody who is gone."""
    num_runs = 0

    def counting(images_nhwc: Images) -> Scores:
        nonlocal num_runs
        num_runs += 1
        time.sleep(0.005)
        return brightness_of_the_corner(images_nhwc)

    stand = Stand(FunctionEngine(counting))
    explaining = asyncio.create_task(stand.explainer.explain(stand.query(), "", 200))
    await asyncio.sleep(0.1)
    explaining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await explaining
    await asyncio.sleep(0.02)
    num_then = num_runs
    await asyncio.sleep(0.1)
    assert num_runs == num_then < 120
    assert stand.holds_nothing()
