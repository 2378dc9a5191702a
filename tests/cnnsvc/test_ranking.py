"""Scores to named classes."""

import numpy as np
import pytest

from cnnsvc.errors import InvalidError
from cnnsvc.ranking import check_top_k, rank


def test_best_first() -> None:
    """Classes come by falling score; equal scores keep the order of the names."""
    scores = np.array([0.2, 0.5, 0.2, 0.1], np.float32)
    assert [name for name, _ in rank(scores, ["a", "b", "c", "d"], 3)] == ["b", "a", "c"]
    assert rank(scores, ["a", "b", "c", "d"], 1) == [("b", 0.5)]


def test_default_number_of_classes() -> None:
    """Five, or all where there are fewer."""
    assert check_top_k(None, 10) == 5
    assert check_top_k(None, 3) == 3


@pytest.mark.parametrize("top_k", [0, -1, 4])
def test_impossible_numbers_of_classes(top_k: int) -> None:
    """Zero, negative and more than there are: refused with the allowed range."""
    with pytest.raises(InvalidError, match=f"top_k is {top_k}; allowed are 1 to 3"):
        check_top_k(top_k, 3)
