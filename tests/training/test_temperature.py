"""training/temperature.py: one number that makes scores hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.made_up_scores import planted, softmax
from training.reliability import log_loss
from training.temperature import LEAST_TEMPERATURE, MOST_TEMPERATURE, fit_temperature, with_temperature


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5, 7.0])
def test_a_planted_temperature_is_found(temperature: float) -> None:
    """From 20,000 images it comes out within three per cent."""
    assert fit_temperature(*planted(20_000, temperature)) == pytest.approx(temperature, rel=0.03)


def test_it_is_where_the_log_loss_is_least() -> None:
    """No temperature a little beside it has a lower loss, also on few images and with a class that is absent."""
    scores_nk, labels = planted(60, 2.0, num_classes=3)
    scores_nk, labels = scores_nk[labels != 2], labels[labels != 2]
    found = fit_temperature(scores_nk, labels)
    losses = [log_loss(with_temperature(scores_nk, found * factor), labels) for factor in (0.98, 1.0, 1.02)]
    assert losses[1] == min(losses)


def test_it_is_the_closed_form_where_there_is_one() -> None:
    """Two classes, every image scored p, a share q right: the logit of p over that of q."""
    scores_nk = np.tile(np.asarray([[0.95, 0.05]], np.float32), (10, 1))
    labels = np.asarray([0] * 7 + [1] * 3, np.int32)
    assert fit_temperature(scores_nk, labels) == pytest.approx(np.log(0.95 / 0.05) / np.log(0.7 / 0.3), rel=1e-5)


def test_the_ends_hold() -> None:
    """Where all images are right, or all wrong, it is the end of what is allowed, not 0 or infinite."""
    scores_nk = np.asarray([[0.9, 0.1], [0.8, 0.2]], np.float32)
    assert fit_temperature(scores_nk, np.asarray([0, 0], np.int32)) == LEAST_TEMPERATURE
    assert fit_temperature(scores_nk, np.asarray([1, 1], np.int32)) == MOST_TEMPERATURE
    level = np.full((2, 4), 0.25, np.float32)
    assert LEAST_TEMPERATURE <= fit_temperature(level, np.asarray([1, 2], np.int32)) <= MOST_TEMPERATURE


@given(st.floats(0.25, 10), st.integers(0, 1000))
def test_dividing_logits(temperature: float, seed: int) -> None:
    """The scores are softmax(logits / temperature), rows sum to 1 and keep their order."""
    logits_nk = np.random.default_rng(seed).normal(0, 3, (5, 4))
    found = with_temperature(softmax(logits_nk), temperature)
    np.testing.assert_allclose(found, softmax(logits_nk / temperature), atol=2e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    assert (found.argmax(axis=1) == logits_nk.argmax(axis=1)).all()


def test_scores_of_zero_and_one_stay_finite() -> None:
    """What float32 rounded to 0 counts as its smallest number: no NaN, no warning, no score above 1."""
    scores_nk = np.asarray([[1, 0, 0]], np.float32)
    for temperature in (LEAST_TEMPERATURE, 2.0, MOST_TEMPERATURE):
        found = with_temperature(scores_nk, temperature)
        assert np.isfinite(found).all()
        assert found.sum() == pytest.approx(1)
    assert with_temperature(scores_nk, 1.0) is scores_nk
