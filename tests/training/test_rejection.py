"""training/rejection.py: where the line of "none of these" is drawn, and what it costs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.rejection import Selection, fit_threshold, is_answered, selection_of


@given(st.lists(st.tuples(st.floats(0.1, 1), st.booleans()), min_size=1, max_size=60), st.floats(0.5, 1))
def test_at_least_the_wanted_share_of_right_ones_is_answered(images: list[tuple[float, bool]], share: float) -> None:
    """Whatever the scores, ties among them included; the threshold itself has four digits and is below 1."""
    confidences, outcomes = np.array([one for one, _ in images]), np.array([right for _, right in images])
    threshold = fit_threshold(confidences, outcomes, share)
    selection = selection_of(is_answered(confidences, threshold), outcomes)
    if threshold is None:
        assert share == 1 or not outcomes.any()
        assert selection.num_answered == len(images)
        return
    assert round(threshold, 4) == threshold < 1
    assert selection.share_of_right_answered is not None
    assert selection.share_of_right_answered >= share - 1e-9


def test_no_more_than_needed_is_answered() -> None:
    """Of 100 right ones 95 are kept and five are not, the wrong ones below among them."""
    confidences = np.concatenate([np.linspace(0.5, 0.995, 100), [0.4, 0.51, 0.9]])
    outcomes = np.array([True] * 100 + [False] * 3)
    threshold = fit_threshold(confidences, outcomes, 0.95)
    assert threshold == pytest.approx(0.525)
    selection = selection_of(is_answered(confidences, threshold), outcomes)
    assert selection == Selection(num_images=103, num_answered=96, num_right=100, num_right_answered=95)
    assert selection.share_answered == pytest.approx(96 / 103)
    assert selection.accuracy_of_answered == pytest.approx(95 / 96)


def test_nothing_to_draw_the_line_by() -> None:
    """Without an image that is right, and where all shall be answered, there is no threshold."""
    confidences = np.array([0.9, 0.4])
    assert fit_threshold(confidences, np.array([False, False]), 0.95) is None
    assert fit_threshold(confidences, np.array([True, True]), 1.0) is None
    assert fit_threshold(np.array([]), np.array([], np.bool_), 0.95) is None
    none_right = selection_of(is_answered(confidences, 0.95), np.array([False, False]))
    assert (none_right.accuracy_of_answered, none_right.share_of_right_answered) == (None, None)


def test_scores_at_the_threshold_are_answered() -> None:
    """Only what is below it is rejected, and scores of 1 in float32 never are."""
    assert is_answered(np.array([0.4999, 0.5, 1.0]), 0.5).tolist() == [False, True, True]
    threshold = fit_threshold(np.ones(20), np.ones(20, np.bool_), 0.95)
    assert threshold == 0.9999
