"""training/honest_scores.py: what is fitted, when nothing is, and that it is judged on other images."""

import numpy as np
import pytest

from cnnsvc.engines.base import Scores
from tests.training.made_up_scores import planted
from training.evaluate import Labels
from training.honest_scores import LEAST_IMAGES, FittedScores, fit_scores
from training.reliability import confidences_of, outcomes_of
from training.temperature import fit_temperature, with_temperature


def fitted(scores: tuple[Scores, Labels], *, calibrate: bool = True, accept_share: float = 0.95) -> FittedScores:
    return fit_scores(*scores, calibrate=calibrate, accept_share=accept_share, seed=100)


def test_overconfident_scores_become_honest() -> None:
    """All figures are better afterwards, the error near that of chance, and the temperature is that of all images."""
    made_up = planted(1000, 3.0)
    found = fitted(made_up)
    assert found.temperature == fit_temperature(*made_up)
    assert found.kept_because == ""
    assert found.before.expected_calibration_error > 4 * found.after.expected_calibration_error
    assert found.after.expected_calibration_error < 2 * found.after.error_of_chance
    assert found.after.log_loss < found.before.log_loss
    assert found.after.brier_score < found.before.brier_score


def test_the_figures_are_not_of_the_images_fitted_to() -> None:
    """The loss after is above that of the same images at the temperature that was fitted to them, if by little."""
    made_up = planted(200, 3.0)
    found = fitted(made_up)
    own = -np.log(with_temperature(made_up[0], found.temperature)[np.arange(200), made_up[1]]).mean()
    assert own < found.after.log_loss < own + 0.05


def test_the_threshold_keeps_the_wanted_share() -> None:
    """Of the images named right at the published temperature 95 % are answered, and about as many across folds."""
    scores_nk, labels = planted(1000, 3.0)
    found = fitted((scores_nk, labels))
    assert found.threshold is not None
    right = confidences_of(with_temperature(scores_nk, found.temperature))[outcomes_of(scores_nk, labels)]
    assert 0.95 <= (right >= found.threshold).mean() < 0.96
    assert found.selection.share_of_right_answered == pytest.approx(0.95, abs=0.02)
    assert found.selection.accuracy_of_answered is not None
    assert found.selection.accuracy_of_answered > found.selection.num_right / found.selection.num_images


@pytest.mark.parametrize(
    ("made_up", "calibrate", "reason"),
    [
        (planted(1000, 3.0), False, "--no-calibrate"),
        (planted(LEAST_IMAGES - 1, 3.0), True, "19 images say too little; at least 20 are needed"),
        ((np.tile(np.asarray([[0.6, 0.4]], np.float32), (30, 1)), np.zeros(30, np.int32)), True, "named right"),
        (planted(300, 1.0, seed=2), True, "no better"),
    ],
)
def test_where_no_temperature_is_fitted(made_up: tuple[Scores, Labels], calibrate: bool, reason: str) -> None:
    """Not asked for, too few images, no mistake to learn from, no gain on others: it stays 1, and says why."""
    found = fitted(made_up, calibrate=calibrate)
    assert found.temperature == 1
    assert reason in found.kept_because
    assert found.kept_because in found.describe()
    assert found.after == found.before


@pytest.mark.parametrize("num_images", [1, 2, 19])
def test_few_images_reject_nothing(num_images: int) -> None:
    """Below twenty images there is no threshold either, and every image is answered."""
    found = fitted(planted(num_images, 3.0))
    assert found.threshold is None
    assert found.selection.num_answered == found.selection.num_images == num_images
    assert found.describe().endswith("every image is answered")


def test_a_network_that_names_nothing_right() -> None:
    """It has no threshold and the highest temperature: its scores say that it knows nothing."""
    scores_nk = np.tile(np.asarray([[0.9, 0.1]], np.float32), (30, 1))
    found = fitted((scores_nk, np.ones(30, np.int32)))
    assert (found.threshold, found.temperature) == (None, 10)
    assert found.for_manifest().accuracy_of_answered == 0


def test_no_threshold_when_told_so() -> None:
    """With a share of 1 the temperature is fitted all the same."""
    found = fitted(planted(1000, 3.0), accept_share=1.0)
    assert found.threshold is None
    assert found.temperature > 2


def test_strangers_are_counted_by_kind() -> None:
    """What is below the threshold is rejected; the share stands by the kind's name."""
    found = fitted(planted(1000, 3.0))
    assert found.threshold is not None
    scores_nk = np.asarray([[found.threshold - 0.01, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]], np.float32)
    assert found.with_strangers({"noise": scores_nk}).rejected_strangers == {"noise": 0.25}


def test_what_the_manifest_gets() -> None:
    """Temperature, threshold, and the figures that were judged across folds."""
    found = fitted(planted(1000, 3.0))
    recorded = found.for_manifest()
    assert (recorded.temperature, recorded.threshold) == (found.temperature, found.threshold)
    assert recorded.num_images == 1000
    assert recorded.expected_calibration_error_before == found.before.expected_calibration_error
    assert recorded.expected_calibration_error_after == found.after.expected_calibration_error
    assert recorded.share_answered == found.selection.share_answered
    assert f"below {recorded.threshold:g} an image is of no class" in found.describe()
