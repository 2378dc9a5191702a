"""PSI by hand, and the window that it is taken of."""

import math

import msgspec
import numpy as np
import pytest

from cnnsvc.manifest import Baseline, ImageShape, Manifest
from service.drift import LEAST_IMAGES, DriftWindow, psi, psi_by_chance
from tests.bundles import SHAPE, manifest_of

MEANS = (8.0, 24.0, 40.0)
BASELINE = Baseline([0.5, 0.25, 0.25], [0] * 8 + [50, 150], [8.0, 24.0, 40.0], [[200, 0], [200, 0], [100, 100]])


def manifest(baseline: Baseline = BASELINE, shape: ImageShape = SHAPE) -> Manifest:
    return msgspec.structs.replace(manifest_of(shape=shape), baseline=baseline)


def counts(*values: float) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    return np.array(values, np.float64)


def test_psi_by_hand() -> None:
    """Shares of 0.7 and 0.3 against 0.4 and 0.6, half an image added to each bin: 0.3 ln(0.7/0.4) - 0.3 ln(0.3/0.6)."""
    expected, found = counts(39.5, 59.5), counts(69.5, 29.5)
    assert psi(expected, found) == pytest.approx(0.3 * math.log(0.7 / 0.4) + 0.3 * math.log(0.6 / 0.3))
    assert psi(found, expected) == pytest.approx(psi(expected, found))


def test_psi_of_the_same_is_nothing() -> None:
    """Equal shares have a PSI of 0, whatever the numbers of images, but for the half images added."""
    assert psi(counts(10, 20, 30), counts(10, 20, 30)) == 0
    assert psi(counts(100, 200, 300), counts(1000, 2000, 3000)) < 1e-5


def test_empty_bins() -> None:
    """One that is empty on one side is large but finite; one that is empty on both changes nothing."""
    assert 1 < psi(counts(0, 100), counts(50, 50)) < 10
    assert psi(counts(0, 40, 60), counts(0, 60, 40)) == psi(counts(40, 60), counts(60, 40))


def test_psi_by_chance() -> None:
    """What is expected without drift is what samples of one distribution have in the mean, to a tenth."""
    random = np.random.default_rng(0)
    shares = [0.1, 0.2, 0.3, 0.4]
    pairs = [
        (random.multinomial(200, shares).astype(float), random.multinomial(500, shares).astype(float))
        for _ in range(2000)
    ]
    expected = np.mean([psi_by_chance(*pair) for pair in pairs])
    assert expected == pytest.approx(3 * (1 / 200 + 1 / 500))
    assert np.mean([psi(*pair) for pair in pairs]) == pytest.approx(expected, rel=0.1)


def test_a_window_like_the_baseline() -> None:
    """Images with the shares of the baseline have a PSI near 0 in every feature, red, green and blue among them."""
    window = DriftWindow(manifest(), 1000)
    for index in range(200):
        name = ("daisy", "rose", "daisy", "tulip")[index % 4]
        window.observe(name, 0.85 if index % 4 == 0 else 0.95, (8.0, 24.0, 40.0 if index % 2 else 200.0))
    assert window.num_images == 200
    assert [drift.feature for drift in window.drifts()] == [
        "classes",
        "confidence",
        "channel_red",
        "channel_green",
        "channel_blue",
    ]
    assert all(drift.psi < 1e-9 for drift in window.drifts())


def test_the_window_slides() -> None:
    """The last images count and those before them no more, however many there were."""
    window = DriftWindow(manifest(), 200)
    for _ in range(500):
        window.observe("tulip", 0.15, (200.0, 200.0, 200.0))
    before = {drift.feature: drift.psi for drift in window.drifts()}
    assert min(before.values()) > 0.25
    for index in range(200):
        name = ("daisy", "rose", "daisy", "tulip")[index % 4]
        window.observe(name, 0.85 if index % 4 == 0 else 0.95, (8.0, 24.0, 40.0 if index % 2 else 200.0))
    assert window.num_images == 200
    assert all(drift.psi < 1e-9 for drift in window.drifts())


def test_too_few_images() -> None:
    """Nothing is said of fewer images than LEAST_IMAGES."""
    window = DriftWindow(manifest(), LEAST_IMAGES)
    for _ in range(LEAST_IMAGES - 1):
        window.observe("rose", 0.5, MEANS)
    assert (window.num_images, window.drifts()) == (LEAST_IMAGES - 1, [])
    window.observe("rose", 0.5, MEANS)
    assert len(window.drifts()) == 5


def test_images_that_nobody_measured() -> None:
    """Their classes and scores count; of channels nothing is said, and none of the answers fails."""
    window = DriftWindow(manifest(), LEAST_IMAGES)
    for _ in range(3 * LEAST_IMAGES // 2):
        window.observe("rose", 0.5, ())
    assert [drift.feature for drift in window.drifts()] == ["classes", "confidence"]
    for _ in range(LEAST_IMAGES):
        window.observe("rose", 0.5, MEANS)
    assert len(window.drifts()) == 5


def test_a_bundle_of_an_older_training() -> None:
    """Without histograms of channel means no pixel is measured; classes and confidence are compared all the same."""
    window = DriftWindow(manifest(msgspec.structs.replace(BASELINE, channel_mean_histograms=[])), 1000)
    assert window.measure(np.zeros((2, 2, 3), np.uint8)) == ()
    for _ in range(LEAST_IMAGES):
        window.observe("rose", 0.5, ())
    assert [drift.feature for drift in window.drifts()] == ["classes", "confidence"]


@pytest.mark.parametrize(
    "window",
    [
        DriftWindow(manifest(), 0),
        DriftWindow(manifest(msgspec.structs.replace(BASELINE, confidence_histogram=[])), 1000),
        DriftWindow(manifest(msgspec.structs.replace(BASELINE, class_shares=[0.5, 0.5])), 1000),
    ],
    ids=["switched off", "no confidences", "other classes"],
)
def test_nothing_to_compare(window: DriftWindow) -> None:
    """A window of no images, and a baseline that says nothing of these classes, cost nothing and say nothing."""
    assert window.measure(np.zeros((2, 2, 3), np.uint8)) == ()
    for _ in range(LEAST_IMAGES):
        window.observe("rose", 0.5, ())
    assert (window.num_images, window.drifts()) == (0, [])


def test_grey() -> None:
    """A network that takes grey images has one channel."""
    shape = ImageShape(height=24, width=32, channels=1)
    window = DriftWindow(manifest(msgspec.structs.replace(BASELINE, channel_mean_histograms=[[100, 100]]), shape), 1000)
    for _ in range(LEAST_IMAGES):
        window.observe("rose", 0.5, window.measure(np.full((2, 2, 1), 200, np.uint8)))
    assert window.drifts()[-1].feature == "channel_grey"
    assert window.drifts()[-1].psi > 0.25
