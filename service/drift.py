"""How far what a model version sees has moved from its bundle's baseline, by the last images that it answered.

The measure is the population stability index, PSI: the sum of (a - e) ln(a / e) over the bins of a histogram, where e
is a bin's share in the baseline and a its share in the window. The usual reading: below 0.1 stable, to 0.25 a moderate
shift, above it a large one. Source: B. Yurdakul and J. Naranjo, Statistical properties of the population stability
index, Journal of Risk Model Validation, 2020; the reading is that of N. Siddiqi, Credit Risk Scorecards, 2006.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cnnsvc.bins import ChannelMeans, channel_mean_bin, channel_means, confidence_bin
from cnnsvc.manifest import Manifest
from cnnsvc.pixels import Pixels

LEAST_IMAGES: Final = 100
"""With fewer in the window chance alone is near 0.25."""
CHANNELS: Final = {1: ("channel_grey",), 3: ("channel_red", "channel_green", "channel_blue")}
FEATURES: Final = ("classes", "confidence", *CHANNELS[3], *CHANNELS[1])

_SMOOTHING: Final = 0.5
"""Images added to each bin, for an empty one has no logarithm; half an image is Jeffreys' prior."""

Counts = NDArray[np.float64]
"""float64 (B,): images by bin."""


@dataclass(frozen=True, slots=True)
class Drift:
    feature: str
    """One of FEATURES."""
    psi: float
    by_chance: float
    """PSI to be expected of as many images without any drift."""


def psi(expected: Counts, found: Counts) -> float:
    """0 or more. Bins that are empty in both say nothing and are left out."""
    is_filled = (expected + found) > 0
    e, a = expected[is_filled] + _SMOOTHING, found[is_filled] + _SMOOTHING
    e, a = e / e.sum(), a / a.sum()
    return float(((a - e) * np.log(a / e)).sum())


def psi_by_chance(expected: Counts, found: Counts) -> float:
    """Its mean where both are drawn from the same images: (B - 1) (1 / N + 1 / M), B bins that are not empty in both.

    Source: Yurdakul and Naranjo, as above. Too high where most bins have but a few images.
    """
    num_bins = np.count_nonzero(expected + found)
    return float((num_bins - 1) * (1 / expected.sum() + 1 / found.sum()))


class DriftWindow:
    """The last images that a model version answered, by bin; only `measure` may be called from any thread.

    An image costs the same however many the window holds: what comes in is counted, what falls out is counted off.
    """

    def __init__(self, manifest: Manifest, num_images: int) -> None:
        """Of at most so many images; of none where there are 0, or where the baseline does not fit the class names."""
        self._expected = _expected(manifest)
        self._images: deque[tuple[int, ...]] = deque(maxlen=num_images if self._expected else 0)
        sizes = [len(counts) for counts in self._expected.values()]
        self._counts = [0] * sum(sizes)
        self._parts = [(sum(sizes[:index]), size) for index, size in enumerate(sizes)]
        """Of the counts, one a feature: where it begins and how many bins it has."""
        self._channels = self._parts[2:]
        self._class_bins = {name: index for index, name in enumerate(manifest.class_names)}

    @property
    def num_images(self) -> int:
        return len(self._images)

    def measure(self, image_hwc: Pixels) -> ChannelMeans:
        """What `observe` wants to know of an image's pixels; nothing where that is compared with nothing."""
        return channel_means(image_hwc) if self._channels and self._images.maxlen else ()

    def observe(self, class_name: str, score: float, means: ChannelMeans) -> None:
        """One image that was answered: its best class with its score, and its measure, which may be absent."""
        images, counts = self._images, self._counts
        if not images.maxlen:
            return
        image = self._places(class_name, score, means)
        if len(images) == images.maxlen:
            for place in images[0]:
                counts[place] -= 1
        images.append(image)
        for place in image:
            counts[place] += 1

    def drifts(self) -> list[Drift]:
        """One for each feature of which there are LEAST_IMAGES or more."""
        counts = np.array(self._counts, np.float64)
        drifts = []
        for (feature, expected), (first, num_bins) in zip(self._expected.items(), self._parts, strict=True):
            found = counts[first : first + num_bins]
            if found.sum() >= LEAST_IMAGES:
                drifts.append(Drift(feature, psi(expected, found), psi_by_chance(expected, found)))
        return drifts

    def _places(self, class_name: str, score: float, means: ChannelMeans) -> tuple[int, ...]:
        """Of an image among the counts, one for each feature that is known of it."""
        first, num_bins = self._parts[1]
        places = [self._class_bins[class_name], first + confidence_bin(score, num_bins)]
        for mean, (first, num_bins) in zip(means, self._channels, strict=False):
            places.append(first + channel_mean_bin(mean, num_bins))
        return tuple(places)


def _expected(manifest: Manifest) -> dict[str, Counts]:
    """By feature the baseline's counts, classes and confidence first; empty where it has none."""
    baseline = manifest.baseline
    shares, confidences = baseline.class_shares, baseline.confidence_histogram
    if len(shares) != len(manifest.class_names) or not (_is_filled(shares) and _is_filled(confidences)):
        return {}
    expected = {
        "classes": sum(confidences) * np.array(shares, np.float64),
        "confidence": np.array(confidences, np.float64),
    }
    channels, histograms = CHANNELS[manifest.image.channels], baseline.channel_mean_histograms
    if len(histograms) == len(channels) and all(map(_is_filled, histograms)):
        expected |= {name: np.array(one, np.float64) for name, one in zip(channels, histograms, strict=True)}
    return expected


def _is_filled(histogram: Sequence[float]) -> bool:
    return sum(histogram) > 0 and min(histogram) >= 0
