"""The facts about what comes into a layer by which its numbers are rounded; calibration.py gathers them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Moments:
    """Of the values under a convolution's window, K = channels x rows x columns of it."""

    mean_k: NDArray[np.float64]
    covariance_kk: NDArray[np.float64]


@dataclass(frozen=True)
class LayerInput:
    """What comes into one layer with weights."""

    highest: float
    values: NDArray[np.float32]
    """A sample, without zeros."""
    moments: Moments | None
    """Of a convolution whose window is not too large."""
