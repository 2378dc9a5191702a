"""Drift of a served bundle against the baseline that training's own code made of images like those it is sent."""

from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

from cnnsvc.bins import channel_means
from cnnsvc.engines.load import open_engine
from cnnsvc.errors import ImageError
from cnnsvc.manifest import read_manifest, write_manifest
from cnnsvc.model import ModelOptions
from cnnsvc.pixels import Pixels, decode
from service.loader import Loader
from service.metrics import Metrics
from service.predictor import Predictor, PredictorLimits, Query
from service.registry import Registry
from tests.bundles import CLASS_NAMES, SHAPE, write_bundle
from tests.encoded import encode
from training.export.parity import baseline_of

pytestmark = pytest.mark.slow

NUM_IMAGES: Final = 400


def picture(seed: int) -> Pixels:
    """uint8 (H, W, C): noise around a colour of its own, so that images differ in their means and in their classes."""
    random = np.random.default_rng(seed)
    noise = random.normal(random.normal(128, 40, 3), 30, (SHAPE.height, SHAPE.width, 3))
    return noise.clip(0, 255).astype(np.uint8)


def pictures(first_seed: int) -> list[Pixels]:
    return [picture(first_seed + index) for index in range(NUM_IMAGES)]


def write_served_bundle(models_dir: Path, *, is_old: bool = False) -> Path:
    """A bundle whose baseline is of `pictures`, as trainings write it; an old one knows no histograms of channels."""
    path = write_bundle(models_dir, seed=6)  # which gives every class to some of them
    engine = open_engine("openvino", path / "model.onnx", num_threads=1)
    images = [decode(encode("PNG", image), SHAPE.height, SHAPE.width, 3) for image in pictures(0)]
    scores_nk = np.concatenate([engine.run(image[None]) for image in images])
    engine.close()
    baseline = baseline_of(scores_nk, np.array([channel_means(image) for image in images]))
    if is_old:
        baseline = msgspec.structs.replace(baseline, channel_mean_histograms=[])
    write_manifest(path, msgspec.structs.replace(read_manifest(path), baseline=baseline))
    return path


class Room:
    def __init__(self) -> None:
        self.prometheus = CollectorRegistry()
        self.metrics = Metrics(self.prometheus, version="0", drift_window_images=NUM_IMAGES)
        self.registry = Registry(self.metrics)
        self.loader = Loader(self.registry, self.metrics, ModelOptions("openvino"))
        self.predictor = Predictor(self.registry, PredictorLimits(NUM_IMAGES, NUM_IMAGES, 60_000))

    async def answer(self, images: Iterable[Pixels]) -> list[str]:
        """The best classes."""
        answer = await self.predictor.classify(Query([encode("PNG", image) for image in images]))
        return [result[0][0] for result in answer.results]

    def psi(self) -> dict[str, float]:
        """By feature what a scrape shows, less what is to be expected by chance."""
        self.metrics.sample()
        found: dict[str, float] = {}
        for family in self.prometheus.collect():
            for sample in family.samples:
                if sample.name == "cnnsvc_drift_psi":
                    chance = self.prometheus.get_sample_value("cnnsvc_drift_psi_by_chance", sample.labels)
                    assert chance is not None
                    assert 0 < chance < 0.1
                    found[sample.labels["feature"]] = sample.value - chance
        return found


@pytest_asyncio.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    room = Room()
    await room.loader.load_bundle(write_served_bundle(tmp_path))
    yield room
    room.registry.close()


async def test_images_like_those_of_the_training(room: Room) -> None:
    """Others of the same kind have a small PSI in every feature."""
    await room.answer(pictures(NUM_IMAGES))
    found = room.psi()
    assert set(found) == {"classes", "confidence", "channel_red", "channel_green", "channel_blue"}
    assert all(value < 0.1 for value in found.values()), found


async def test_darker_images(room: Room) -> None:
    """The same at half their brightness have a large PSI in every channel, once they fill the window."""
    await room.answer(pictures(NUM_IMAGES))
    await room.answer(image // 2 for image in pictures(NUM_IMAGES))
    found = room.psi()
    assert all(found[f"channel_{colour}"] > 0.25 for colour in ("red", "green", "blue")), found


async def test_one_colour_too_weak(room: Room) -> None:
    """A camera whose blue is weak is told from one that is dark: blue alone shifts."""
    tint = np.array([0, 0, 60], np.uint8)
    await room.answer(np.maximum(image, tint) - tint for image in pictures(NUM_IMAGES))
    found = room.psi()
    assert found["channel_blue"] > 0.25
    assert max(found["channel_red"], found["channel_green"]) < 0.1, found


async def test_another_mix_of_classes(room: Room) -> None:
    """Of the same images only those of one class: the PSI of the classes is large."""
    images = pictures(NUM_IMAGES)
    found = await room.answer(images)
    assert set(found) == set(CLASS_NAMES)
    most = max(CLASS_NAMES, key=found.count)
    of_one = [image for image, name in zip(images, found, strict=True) if name == most]
    await room.answer((of_one * NUM_IMAGES)[:NUM_IMAGES])
    assert room.psi()["classes"] > 0.25


async def test_only_answered_images_count(room: Room) -> None:
    """A call that fails by one image leaves none of its images in the window."""
    good = encode("PNG", picture(0))
    with pytest.raises(ImageError):
        await room.predictor.classify(Query([good, good, b"no image"]))
    await room.answer([picture(1)])
    room.metrics.sample()
    labels = {"model": "flowers", "version": "1"}
    assert room.prometheus.get_sample_value("cnnsvc_drift_window_images", labels) == 1


async def test_a_bundle_of_an_older_training(tmp_path: Path) -> None:
    """It is served, and shows the drift of classes and confidence alone."""
    path = write_served_bundle(tmp_path, is_old=True)
    text = (path / "manifest.json").read_text()
    (path / "manifest.json").write_text(text.replace('"channel_mean_histograms": []', '"unknown": 1'))
    room = Room()
    await room.loader.load_bundle(path)
    await room.answer(pictures(0))
    assert set(room.psi()) == {"classes", "confidence"}
    room.registry.close()
