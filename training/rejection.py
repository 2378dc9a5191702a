"""The score below which an image is none of the classes: where to draw the line, and what it costs. Pure numpy.

Source: Hendrycks and Gimpel, A Baseline for Detecting Misclassified and Out-of-Distribution Examples, 2017: the highest
score alone.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from training.reliability import Confidences, Outcomes

_DIGITS: Final = 10_000
"""Thresholds have four: engines round the last bits differently, and none may reject for it what another accepts."""


@dataclass(frozen=True)
class Selection:
    """What a threshold does to images of the classes."""

    num_images: int
    num_answered: int
    num_right: int
    """Named right, with or without a threshold."""
    num_right_answered: int

    @property
    def share_answered(self) -> float:
        return self.num_answered / self.num_images

    @property
    def accuracy_of_answered(self) -> float | None:
        """None where nothing is answered."""
        return self.num_right_answered / self.num_answered if self.num_answered else None

    @property
    def share_of_right_answered(self) -> float | None:
        """None where nothing is named right."""
        return self.num_right_answered / self.num_right if self.num_right else None


def fit_threshold(confidences: Confidences, outcomes: Outcomes, accept_share: float) -> float | None:
    """The highest threshold that answers at least that share of the images that are named right.

    None where no image is named right, and where all images shall be answered: accept_share 1.
    """
    right = np.sort(confidences[outcomes])[::-1]
    if accept_share >= 1 or not len(right):
        return None
    lowest = right[math.ceil(accept_share * len(right) - 1e-9) - 1]  # 0.95 of 100 is 95, whatever the last bit says
    return min(math.floor(float(lowest) * _DIGITS), _DIGITS - 1) / _DIGITS


def is_answered(confidences: Confidences, threshold: float | None) -> Outcomes:
    """False where the best score is below the threshold."""
    return confidences >= (0.0 if threshold is None else threshold)


def selection_of(answered: Outcomes, outcomes: Outcomes) -> Selection:
    return Selection(len(outcomes), int(answered.sum()), int(outcomes.sum()), int((answered & outcomes).sum()))
