"""From scores to named classes, best first."""

from collections.abc import Sequence

from cnnsvc.engines.base import Scores
from cnnsvc.errors import InvalidError

DEFAULT_TOP_K = 5

ScoredClasses = list[tuple[str, float]]
"""(class name, softmax probability), best first."""


def check_top_k(top_k: int | None, num_classes: int) -> int:
    """The number of classes to answer; None means 5, or all where there are fewer. Raises InvalidError."""
    if top_k is None:
        return min(DEFAULT_TOP_K, num_classes)
    if not 1 <= top_k <= num_classes:
        raise InvalidError(f"top_k is {top_k}; allowed are 1 to {num_classes}, the model's number of classes")
    return top_k


def rank(scores_k: Scores, class_names: Sequence[str], top_k: int) -> ScoredClasses:
    """The best `top_k` classes of one row of scores; equal scores stand in the order of the class names."""
    scores = scores_k.tolist()
    # Sorting keeps the order of equals, reversed too; of a few classes it takes a fifth of numpy's time.
    order = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)[:top_k]
    return [(class_names[index], scores[index]) for index in order]
