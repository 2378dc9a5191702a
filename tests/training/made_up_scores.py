"""Scores of networks that never were, of which it is known how far they can be believed."""

import numpy as np
from numpy.typing import NDArray

from cnnsvc.engines.base import Scores
from training.evaluate import Labels


def softmax(logits_nk: NDArray[np.float64]) -> Scores:
    powers_nk = np.exp(logits_nk - logits_nk.max(axis=1, keepdims=True))
    return np.asarray(powers_nk / powers_nk.sum(axis=1, keepdims=True), np.float32)


def planted(num_images: int, temperature: float, *, num_classes: int = 4, seed: int = 0) -> tuple[Scores, Labels]:
    """Scores that hold exactly once their logits are divided by the temperature: labels are drawn from those."""
    random = np.random.default_rng(seed)
    logits_nk = random.normal(0, 2, (num_images, num_classes))
    exact_nk = softmax(logits_nk).astype(np.float64)
    labels = (random.random((num_images, 1)) > exact_nk.cumsum(axis=1)).sum(axis=1).clip(0, num_classes - 1)
    return softmax(logits_nk * temperature), labels.astype(np.int32)
