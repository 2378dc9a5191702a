"""One number that the logits are divided by, so that scores say how often they are right. Pure numpy.

Source: Guo et al., On Calibration of Modern Neural Networks, 2017, section 4.2. It changes no image's class.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from cnnsvc.engines.base import Scores
from training.evaluate import Labels

LEAST_TEMPERATURE: Final = 0.25
MOST_TEMPERATURE: Final = 10.0
"""Trained networks need 0.5 to 5. Beyond these ends it is a few odd images that speak, and where all images are named
right, or most wrong, the likelihood has no end of its own."""
_NUM_HALVINGS: Final = 50


def with_temperature(scores_nk: Scores, temperature: float) -> Scores:
    """softmax(logits / temperature), float32 (N, K), of softmax(logits): logs of scores are logits but for a constant.

    Scores that float32 had rounded to 0 count as the smallest number that it holds.
    """
    if temperature == 1:
        return scores_nk
    logits_nk = _logits(scores_nk) / temperature
    powers_nk = np.exp(logits_nk - logits_nk.max(axis=1, keepdims=True))
    scaled: Scores = (powers_nk / powers_nk.sum(axis=1, keepdims=True)).astype(np.float32)
    return scaled


def fit_temperature(scores_nk: Scores, labels: Labels) -> float:
    """The temperature at which the right classes are likeliest, within the two ends above.

    The negative log-likelihood is convex in 1 / temperature: halving finds where its slope changes sign.
    """
    logits_nk = _logits(scores_nk)
    right = logits_nk[np.arange(len(labels)), labels].mean()

    def slope(inverse: float) -> float:
        powers_nk = np.exp(inverse * (logits_nk - logits_nk.max(axis=1, keepdims=True)))
        return float(((powers_nk * logits_nk).sum(axis=1) / powers_nk.sum(axis=1)).mean() - right)

    low, high = 1 / MOST_TEMPERATURE, 1 / LEAST_TEMPERATURE
    if slope(low) >= 0:
        return MOST_TEMPERATURE
    if slope(high) <= 0:
        return LEAST_TEMPERATURE
    for _ in range(_NUM_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return 2 / (low + high)


def _logits(scores_nk: Scores) -> NDArray[np.float64]:
    logits_nk: NDArray[np.float64] = np.log(scores_nk.astype(np.float64).clip(np.finfo(np.float32).tiny))
    return logits_nk
