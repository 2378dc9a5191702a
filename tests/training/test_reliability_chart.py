"""The geometry of the reliability diagrams."""

import numpy as np

from tests.training.made_up_scores import planted
from training.honest_scores import reliability_of
from training.reliability_chart import reliability_chart
from training.report_charts import BOTTOM, LEFT, RIGHT, TOP


def test_bars_stand_in_the_drawing() -> None:
    """Only bins with images have one; it stands on the ground, within its bin, darkest where most images are."""
    reliability = reliability_of(*planted(300, 2.0))
    chart = reliability_chart("Before", reliability)
    filled = [one for one in reliability.bins if one.num_images]
    assert len(chart.bars) == len(filled)
    for bar, one in zip(chart.bars, filled, strict=True):
        assert LEFT < bar.x < bar.x + bar.width < RIGHT
        assert TOP <= bar.y <= bar.y + bar.height <= BOTTOM + 0.1
        assert abs(bar.height - one.accuracy * (BOTTOM - TOP)) < 0.2
        assert TOP <= bar.mark_y <= BOTTOM
    assert [bar.opacity for bar in chart.bars].index(1.0) == np.argmax([one.num_images for one in filled])
    assert chart.error == reliability.expected_calibration_error


def test_scores_that_hold_end_at_their_marks() -> None:
    """The mark of a bin is where its bar ends once accuracy and confidence are the same."""
    scores_nk = np.asarray([[0.75, 0.25]] * 4, np.float32)
    (bar,) = reliability_chart("", reliability_of(scores_nk, np.asarray([0, 0, 0, 1], np.int32))).bars
    assert bar.mark_y == bar.y
