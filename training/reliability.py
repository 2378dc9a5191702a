"""How far confidence can be believed: of the images scored 0.8, are eight in ten right? Pure numpy."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cnnsvc.engines.base import Scores
from training.evaluate import Labels

NUM_BINS: Final = 15
"""Source: Guo et al., On Calibration of Modern Neural Networks, 2017, section 5."""
_NUM_DRAWS: Final = 200

Confidences = NDArray[np.float64]
"""float64 (N,), the highest score of each image."""
Outcomes = NDArray[np.bool_]
"""bool (N,), whether the class with that score is the right one."""


@dataclass(frozen=True)
class Bin:
    """The images whose confidence is above low and at most high."""

    low: float
    high: float
    num_images: int
    confidence: float
    """Their mean; 0 where there are none."""
    accuracy: float
    """Their share of right ones; 0 where there are none."""


def confidences_of(scores_nk: Scores) -> Confidences:
    return np.asarray(scores_nk.max(axis=1), np.float64)


def outcomes_of(scores_nk: Scores, labels: Labels) -> Outcomes:
    return np.asarray(scores_nk.argmax(axis=1) == labels)


def reliability_bins(confidences: Confidences, outcomes: Outcomes, num_bins: int = NUM_BINS) -> list[Bin]:
    """Equal bins over 0..1. Source: Guo et al. 2017, equation 2."""
    places = _places(confidences, num_bins)
    counts = np.bincount(places, minlength=num_bins)
    sums = np.bincount(places, confidences, minlength=num_bins) / counts.clip(1)
    shares = np.bincount(places, outcomes, minlength=num_bins) / counts.clip(1)
    return [
        Bin(place / num_bins, (place + 1) / num_bins, count, confidence, accuracy)
        for place, (count, confidence, accuracy) in enumerate(
            zip(counts.tolist(), sums.tolist(), shares.tolist(), strict=True)
        )
    ]


def expected_calibration_error(confidences: Confidences, outcomes: Outcomes, num_bins: int = NUM_BINS) -> float:
    """Mean distance of confidence and accuracy over the bins, weighed by their images; 0 is best, 1 worst.

    Source: Naeini et al., Obtaining Well Calibrated Probabilities Using Bayesian Binning, 2015; Guo et al. 2017,
    equation 3.
    """
    excess = np.bincount(_places(confidences, num_bins), confidences - outcomes, minlength=num_bins)
    return float(np.abs(excess).sum() / len(confidences))


def calibration_error_of_chance(confidences: Confidences, num_bins: int = NUM_BINS, *, seed: int = 0) -> float:
    """What these very confidences would get on average if each held exactly: few images never fill the bins evenly."""
    random = np.random.default_rng(seed)
    draws = random.random((_NUM_DRAWS, len(confidences))) < confidences
    return float(np.mean([expected_calibration_error(confidences, outcomes, num_bins) for outcomes in draws]))


def log_loss(scores_nk: Scores, labels: Labels) -> float:
    """Mean of -log of the right class's score, which at the smallest number that float32 holds is 87."""
    right = scores_nk[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(right.clip(np.finfo(np.float32).tiny)).mean())


def brier_score(scores_nk: Scores, labels: Labels) -> float:
    """Mean squared distance of the scores from 1 for the right class and 0 for the others; 0 is best, 2 worst.

    Source: G. W. Brier, Verification of Forecasts Expressed in Terms of Probability, 1950, for several classes.
    """
    distances = scores_nk.astype(np.float64)
    distances[np.arange(len(labels)), labels] -= 1
    return float(np.square(distances).sum(axis=1).mean())


def _places(confidences: Confidences, num_bins: int) -> NDArray[np.intp]:
    """Each image's bin: a bin holds its upper end, so that 1 needs no bin of its own."""
    return (np.ceil(confidences * num_bins).astype(np.intp) - 1).clip(0, num_bins - 1)
