"""What a scrape shows of the drift of each version, from its first image to its end."""

from prometheus_client import CollectorRegistry

from service.drift import LEAST_IMAGES, DriftWindow
from service.drift_gauges import DriftGauges
from tests.bundles import manifest_of

MODEL = {"model": "flowers", "version": "1"}
FEATURES = {"classes", "confidence", "channel_red", "channel_green", "channel_blue"}


class Scrape:
    def __init__(self, window_images: int = 1000) -> None:
        self.registry = CollectorRegistry()
        self.gauges = DriftGauges(self.registry, window_images)

    def values(self, name: str) -> dict[str, float]:
        """By feature, or by "" where there is none."""
        self.gauges.sample()
        samples = [sample for family in self.registry.collect() for sample in family.samples if sample.name == name]
        assert all(MODEL.items() <= sample.labels.items() for sample in samples)
        return {sample.labels.get("feature", ""): sample.value for sample in samples}


def answer(window: DriftWindow, number: int) -> None:
    for _ in range(number):
        window.observe("rose", 0.5, (8.0, 24.0, 40.0))


def test_a_version_that_serves() -> None:
    """Its images are counted from the first; from LEAST_IMAGES on its PSI is there, and above what chance does."""
    scrape = Scrape()
    window = scrape.gauges.watch(manifest_of())
    assert scrape.values("cnnsvc_drift_window_images") == {"": 0}
    answer(window, LEAST_IMAGES - 1)
    assert scrape.values("cnnsvc_drift_window_images") == {"": LEAST_IMAGES - 1}
    assert scrape.values("cnnsvc_drift_psi") == {}
    answer(window, 1)
    found, by_chance = scrape.values("cnnsvc_drift_psi"), scrape.values("cnnsvc_drift_psi_by_chance")
    assert set(found) == set(by_chance) == FEATURES
    assert all(found[feature] > 0.25 + by_chance[feature] > 0.25 for feature in FEATURES)


def test_a_version_that_is_unloaded() -> None:
    """Nothing is shown of it any more, whatever it still answers; to forget it twice is no fault."""
    scrape = Scrape()
    window = scrape.gauges.watch(manifest_of())
    answer(window, LEAST_IMAGES)
    assert scrape.values("cnnsvc_drift_psi")
    scrape.gauges.forget(window)
    answer(window, 1)
    scrape.gauges.forget(window)
    for name in ("psi", "psi_by_chance", "window_images"):
        assert scrape.values(f"cnnsvc_drift_{name}") == {}


def test_a_version_that_is_loaded_again() -> None:
    """The new window begins empty, with no PSI of the old one, and outlives the end of the old one."""
    scrape = Scrape()
    old = scrape.gauges.watch(manifest_of())
    answer(old, LEAST_IMAGES)
    assert scrape.values("cnnsvc_drift_psi")
    new = scrape.gauges.watch(manifest_of())
    answer(new, 1)
    scrape.gauges.forget(old)
    assert scrape.values("cnnsvc_drift_window_images") == {"": 1}
    assert scrape.values("cnnsvc_drift_psi") == {}


def test_switched_off() -> None:
    """With a window of no images there are no series."""
    scrape = Scrape(0)
    answer(scrape.gauges.watch(manifest_of()), LEAST_IMAGES)
    assert scrape.values("cnnsvc_drift_window_images") == scrape.values("cnnsvc_drift_psi") == {}
