"""How one exported artifact, in one engine, compares with the trained network, and how far it may be from it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from cnnsvc.engines.base import Scores
from cnnsvc.engines.golden import TOLERANCES

NEAR_TIE: Final = 1e-3


@dataclass(frozen=True)
class Limits:
    """How far an artifact may be from the trained network."""

    per_mille: int
    """Largest share of images for which another class is chosen, rounded down to whole images."""
    difference: float
    """Of a probability; 1 is any."""
    fall: float = 1.0
    """Of the accuracy."""
    least_images: int = 0
    """Disagreeing images that are allowed however few there are."""


EXACT: Final = Limits(per_mille=1, difference=TOLERANCES["float32"])
OTHER_DECODER: Final = Limits(per_mille=30, difference=1.0, least_images=1)
"""Files are decoded by others than ours; of fewer than 34 images a single one says nothing about 3 %."""
ROUNDED: Final = Limits(per_mille=10, difference=1.0, fall=0.005)
"""For speed: what is served rounds its numbers, to eight bits or to bfloat16."""


@dataclass(frozen=True)
class Candidate:
    """One artifact in one engine."""

    artifact: str
    """As the manifest names it: model.onnx, saved_model/serving_default, …"""
    engine: str
    takes: Literal["pixels", "files"]
    """uint8 (N, H, W, C), or a list of N encoded images."""
    run: Callable[[Any], Scores]
    precision: str = "float32"
    limits: Limits = EXACT
    draft: str = ""
    """What tells several drafts of one artifact apart, of which at most one is published; "" must be accepted."""


@dataclass
class Agreement:
    """How one candidate compares with the trained network so far."""

    artifact: str
    engine: str
    takes: Literal["pixels", "files"]
    precision: str = "float32"
    limits: Limits = EXACT
    draft: str = ""
    num_images: int = 0
    num_correct: int = 0
    num_expected_correct: int = 0
    """Images that the trained network itself names right."""
    num_same: int = 0
    """Images with the same best class."""
    num_near_ties: int = 0
    """Images with another best class that the trained network scores within NEAR_TIE of its own."""
    num_undecodable: int = 0
    """Files that TensorFlow's decoders refuse and ours do not: not among the images."""
    num_lost: int = 0
    """Files that are gone, or others by now than the ones that were decoded: not among the images."""
    max_difference: float = 0.0
    failure: str = ""
    """Why a draft is out whatever its figures: it could not run, or the engines' golden answers differ."""

    def add(self, expected_nk: Scores, found_nk: Scores, labels: NDArray[np.int32]) -> None:
        """Counts a batch: float32 (N, K) scores of the trained network and of the candidate, int32 (N,) labels."""
        is_finite = np.isfinite(found_nk).all(axis=1)
        chosen = found_nk.argmax(axis=1)
        is_same = is_finite & (chosen == expected_nk.argmax(axis=1))
        lost = expected_nk.max(axis=1) - np.take_along_axis(expected_nk, chosen[:, None], axis=1)[:, 0]
        differences = np.where(is_finite, np.abs(expected_nk - found_nk).max(axis=1), np.inf)
        self.num_images += len(found_nk)
        self.num_correct += int((is_finite & (chosen == labels)).sum())
        self.num_expected_correct += int((expected_nk.argmax(axis=1) == labels).sum())
        self.num_same += int(is_same.sum())
        self.num_near_ties += int((is_finite & ~is_same & (lost < NEAR_TIE)).sum())
        self.max_difference = max(self.max_difference, float(differences.max()))

    @property
    def num_disagreeing(self) -> int:
        return self.num_images - self.num_same - self.num_near_ties

    @property
    def num_allowed(self) -> int:
        """Disagreeing images that still pass."""
        return max(self.limits.least_images, self.num_images * self.limits.per_mille // 1000)

    @property
    def accuracy_change(self) -> float:
        """Against the trained network's, as a share of the images."""
        return (self.num_correct - self.num_expected_correct) / max(1, self.num_images)

    @property
    def is_accepted(self) -> bool:
        """Infinite is the difference of scores that are no numbers."""
        return (
            not self.failure
            and self.num_disagreeing <= self.num_allowed
            and self.max_difference <= self.limits.difference
            and self.accuracy_change >= -self.limits.fall
        )

    def describe(self) -> str:
        """One line with the figures, for people."""
        bound, fall = self.limits.difference, self.limits.fall
        draft = f" ({self.draft})" if self.draft else ""
        parts = [
            f"{self.artifact}{draft} in {self.engine}: {self.num_disagreeing} of {self.num_images} images disagree"
            f" (allowed {self.num_allowed})",
            f"{self.num_near_ties} nearly tied" if self.num_near_ties else "",
            f"largest difference {self.max_difference:.1e}" + (f" (allowed {bound:g})" if bound < 1 else ""),
            f"accuracy {100 * self.accuracy_change:+.2f} points (allowed {-100 * fall:g})" if fall < 1 else "",
            f"{self.num_undecodable} not decodable" if self.num_undecodable else "",
            f"{self.num_lost} gone or changed" if self.num_lost else "",
            self.failure,
        ]
        return ", ".join(part for part in parts if part)
