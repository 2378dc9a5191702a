"""training/reliability.py: how far confidence can be believed, against cases that are known by hand."""

import numpy as np
import pytest

from tests.training.made_up_scores import planted
from training.reliability import (
    brier_score,
    calibration_error_of_chance,
    confidences_of,
    expected_calibration_error,
    log_loss,
    outcomes_of,
    reliability_bins,
)

SCORES = np.asarray([[0.95, 0.05], [0.85, 0.15], [0.25, 0.75], [0.35, 0.65]], np.float32)
LABELS = np.asarray([0, 1, 1, 1], np.int32)


def test_the_error_by_hand() -> None:
    """Of ten bins four hold one image each: 0.05, 0.85, 0.25 and 0.35 off, a quarter of the weight each."""
    found = expected_calibration_error(confidences_of(SCORES), outcomes_of(SCORES, LABELS), 10)
    assert found == pytest.approx((0.05 + 0.85 + 0.25 + 0.35) / 4)


def test_within_a_bin_over_and_under_confidence_even_out() -> None:
    """Two images in one bin count by their means: 0.85 confident, half right."""
    confidences, outcomes = np.array([0.82, 0.88]), np.array([True, False])
    assert expected_calibration_error(confidences, outcomes, 5) == pytest.approx(0.35)


def test_confident_and_always_wrong_is_the_worst() -> None:
    """The error is 1 where every image is surely wrong and 0 where every one is surely right."""
    confidences = np.ones(7)
    assert expected_calibration_error(confidences, np.zeros(7, np.bool_)) == 1
    assert expected_calibration_error(confidences, np.ones(7, np.bool_)) == 0


def test_scores_that_hold_have_a_small_error_and_hot_ones_what_they_overstate() -> None:
    """Of 20,000 calibrated images the error is near that of chance; of hot ones it is confidence less accuracy."""
    exact, labels = planted(20_000, 1.0)
    confidences, outcomes = confidences_of(exact), outcomes_of(exact, labels)
    assert expected_calibration_error(confidences, outcomes) < 2 * calibration_error_of_chance(confidences) < 0.02
    hot, labels = planted(20_000, 3.0)
    confidences, outcomes = confidences_of(hot), outcomes_of(hot, labels)
    # Every bin is overconfident, so the distances of the bins add up to the distance of the means.
    overstated = confidences.mean() - outcomes.mean()
    assert overstated > 0.1
    assert expected_calibration_error(confidences, outcomes) == pytest.approx(overstated, abs=0.002)


def test_few_images_err_by_chance() -> None:
    """The fewer the images, the larger the error that even exact scores show; the same seed gives the same."""
    confidences = np.full(40, 0.7)
    few, many = calibration_error_of_chance(confidences), calibration_error_of_chance(np.full(4000, 0.7))
    # The mean distance of a share of 40 draws from 0.7 is that of a binomial, near sqrt(2 / pi) of its deviation.
    assert few == pytest.approx(np.sqrt(2 / np.pi * 0.7 * 0.3 / 40), rel=0.15)
    assert many < few / 5
    assert calibration_error_of_chance(confidences) == few


def test_bins_have_their_upper_ends() -> None:
    """Each image is in one bin; 1 is in the last, an even tenth in the lower of its two, and empty ones are 0."""
    bins = reliability_bins(np.array([0.5, 0.51, 1.0]), np.array([True, False, True]), 2)
    assert [(one.low, one.high, one.num_images, one.accuracy) for one in bins] == [(0, 0.5, 1, 1), (0.5, 1, 2, 0.5)]
    assert bins[1].confidence == pytest.approx(0.755)
    (empty, *_) = reliability_bins(np.array([1.0]), np.array([True]))
    assert (empty.num_images, empty.confidence, empty.accuracy) == (0, 0, 0)


def test_log_loss_and_brier_score_by_hand() -> None:
    """Both are those of the definition, and a score of 0 for the right class costs much, not everything."""
    assert log_loss(SCORES, LABELS) == pytest.approx(-np.log([0.95, 0.15, 0.75, 0.65]).mean())
    assert brier_score(SCORES, LABELS) == pytest.approx(2 * (0.05**2 + 0.85**2 + 0.25**2 + 0.35**2) / 4)
    assert 80 < log_loss(np.asarray([[1, 0]], np.float32), np.asarray([1], np.int32)) < 90
