"""Fits temperature and threshold to the validation split, and judges them on images that they were not fitted to."""

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cnnsvc import manifest
from cnnsvc.engines.base import Scores
from training.evaluate import Labels
from training.rejection import Selection, fit_threshold, is_answered, selection_of
from training.reliability import (
    Bin,
    brier_score,
    calibration_error_of_chance,
    confidences_of,
    expected_calibration_error,
    log_loss,
    outcomes_of,
    reliability_bins,
)
from training.temperature import fit_temperature, with_temperature

LEAST_IMAGES: Final = 20
"""Fewer say too little: nothing is fitted to them."""
NUM_FOLDS: Final = 5


@dataclass(frozen=True)
class Reliability:
    """How far scores can be believed; all but the last are better when lower."""

    expected_calibration_error: float
    error_of_chance: float
    """The same of a network whose confidences all hold, on as many images."""
    log_loss: float
    brier_score: float
    bins: list[Bin]


@dataclass(frozen=True)
class FittedScores:
    """What was fitted, and how good it is by cross-validation: each image is judged by what was fitted to others."""

    temperature: float
    """1 where nothing was fitted."""
    kept_because: str
    """Why the temperature stayed 1; empty where it was fitted."""
    threshold: float | None
    """None where every image is answered."""
    accept_share: float
    before: Reliability
    after: Reliability
    """By cross-validation."""
    selection: Selection
    """By cross-validation."""
    rejected_strangers: dict[str, float] = field(default_factory=dict)
    """Share of rejected images by kind of made-up images, for which nothing was fitted."""

    def with_strangers(self, scores_by_kind: dict[str, Scores]) -> "FittedScores":
        """With what the threshold does to the network's scores of such images, after calibration."""
        return replace(
            self,
            rejected_strangers={
                kind: float(1 - is_answered(confidences_of(scores_nk), self.threshold).mean())
                for kind, scores_nk in scores_by_kind.items()
            },
        )

    def describe(self) -> str:
        """One line with the figures, for people."""
        before, after = self.before.expected_calibration_error, self.after.expected_calibration_error
        chance, chosen = self.after.error_of_chance, self.selection
        heat = (
            f"temperature stays 1, since {self.kept_because}; expected calibration error {before:.3f}"
            if self.kept_because
            else f"temperature {self.temperature:.2f}: expected calibration error {before:.3f} becomes {after:.3f}"
        )
        line = f"{heat} ({chance:.3f} by chance alone)"
        if self.threshold is None:
            return f"{line}; every image is answered"
        right = "" if chosen.accuracy_of_answered is None else f", {chosen.accuracy_of_answered:.1%} of them right"
        return (
            f"{line}; with a best score below {self.threshold:g} an image is of no class:"
            f" {chosen.share_answered:.1%} of the validation images are answered{right}"
        )

    def for_manifest(self) -> manifest.HonestScores:
        return manifest.HonestScores(
            temperature=self.temperature,
            threshold=self.threshold,
            num_images=self.selection.num_images,
            expected_calibration_error_before=self.before.expected_calibration_error,
            expected_calibration_error_after=self.after.expected_calibration_error,
            share_answered=self.selection.share_answered,
            accuracy_of_answered=self.selection.accuracy_of_answered,
        )


def fit_scores(scores_nk: Scores, labels: Labels, *, calibrate: bool, accept_share: float, seed: int) -> FittedScores:
    """From a network's float32 (N, K) scores of the validation split, at temperature 1."""
    folds = np.random.default_rng(seed).permutation(len(labels)) % NUM_FOLDS
    temperature, by_fold, kept_because = _temperatures(scores_nk, labels, folds, calibrate=calibrate)
    accept_share = accept_share if len(labels) >= LEAST_IMAGES else 1.0
    outcomes = outcomes_of(scores_nk, labels)
    crossed_nk = _crossed(scores_nk, folds, by_fold)
    answered = np.ones(len(labels), np.bool_)
    for fold, fold_temperature in enumerate(by_fold):
        inside, others = folds == fold, folds != fold
        fitted_to = confidences_of(with_temperature(scores_nk[others], fold_temperature))
        threshold = fit_threshold(fitted_to, outcomes[others], accept_share)
        answered[inside] = is_answered(confidences_of(crossed_nk[inside]), threshold)
    calibrated = confidences_of(with_temperature(scores_nk, temperature))
    return FittedScores(
        temperature=temperature,
        kept_because=kept_because,
        threshold=fit_threshold(calibrated, outcomes, accept_share),
        accept_share=accept_share,
        before=reliability_of(scores_nk, labels),
        after=reliability_of(crossed_nk, labels),
        selection=selection_of(answered, outcomes),
    )


def reliability_of(scores_nk: Scores, labels: Labels) -> Reliability:
    """From float32 (N, K) scores and int32 (N,) labels."""
    confidences, outcomes = confidences_of(scores_nk), outcomes_of(scores_nk, labels)
    return Reliability(
        expected_calibration_error=expected_calibration_error(confidences, outcomes),
        error_of_chance=calibration_error_of_chance(confidences),
        log_loss=log_loss(scores_nk, labels),
        brier_score=brier_score(scores_nk, labels),
        bins=reliability_bins(confidences, outcomes),
    )


def _temperatures(
    scores_nk: Scores, labels: Labels, folds: NDArray[np.intp], *, calibrate: bool
) -> tuple[float, list[float], str]:
    """The temperature of all images, one a fold fitted to the others, and why they are 1, if so."""
    untouched = [1.0] * NUM_FOLDS
    if not calibrate:
        return 1.0, untouched, "--no-calibrate asked for it"
    if len(labels) < LEAST_IMAGES:
        return 1.0, untouched, f"{len(labels)} images say too little; at least {LEAST_IMAGES} are needed"
    if outcomes_of(scores_nk, labels).all():  # the likelihood then grows for ever towards scores of 1
        return 1.0, untouched, "every image is named right, so nothing tells how often the network errs"
    by_fold = [fit_temperature(scores_nk[folds != fold], labels[folds != fold]) for fold in range(NUM_FOLDS)]
    crossed_nk = _crossed(scores_nk, folds, by_fold)
    # Of the two, the log alone hears a few very confident mistakes above all others.
    if any(score(crossed_nk, labels) >= score(scores_nk, labels) for score in (log_loss, brier_score)):
        return 1.0, untouched, "one that fits four fifths of the images makes the scores of the others no better"
    return fit_temperature(scores_nk, labels), by_fold, ""


def _crossed(scores_nk: Scores, folds: NDArray[np.intp], by_fold: list[float]) -> Scores:
    """Each image at its fold's temperature."""
    crossed_nk = scores_nk.copy()
    for fold, temperature in enumerate(by_fold):
        crossed_nk[folds == fold] = with_temperature(scores_nk[folds == fold], temperature)
    return crossed_nk
