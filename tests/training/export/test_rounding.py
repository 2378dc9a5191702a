"""Rounding to eight bits: what it must keep, and that doing it together keeps more."""

import numpy as np
import pytest
from numpy.typing import NDArray

from training.export.moments import LayerInput, Moments
from training.export.rounding import activation_scale, round_weights, round_weights_together, weight_scales


def bright_patches(num_inputs: int = 27) -> NDArray[np.float64]:
    """Pixels under a window, which share the brightness of their image and differ little otherwise."""
    random = np.random.default_rng(0)
    return random.uniform(0, 255, (4000, 1)) + random.normal(0, 10, (4000, num_inputs))


def moments_of(patches: NDArray[np.float64]) -> Moments:
    return Moments(patches.mean(axis=0), np.cov(patches.T, bias=True))


def test_nearest_steps() -> None:
    """The largest weight of each output is 127 steps; an output of zeros stays zero."""
    weights = np.array([[0.5, -1.0, 0.25], [0, 0, 0]], np.float32)
    scales = weight_scales(weights)
    assert scales[0] == pytest.approx(1 / 127)
    np.testing.assert_array_equal(round_weights(weights, scales), [[64, -127, 32], [0, 0, 0]])


def test_together_outputs_stay() -> None:
    """Brightness that all inputs share is kept far better than by the nearest steps, and so is the mean."""
    patches = bright_patches()
    weights = np.random.default_rng(1).normal(0, 1, (16, 27)).astype(np.float32)
    scales = weight_scales(weights)
    rounded, shift = round_weights_together(weights, scales, moments_of(patches))
    nearest = round_weights(weights, scales)
    exact = patches @ weights.T

    def error(steps: NDArray[np.int8], bias: NDArray[np.float32] | float) -> float:
        return float(((patches @ (steps * scales[:, None]).T + bias - exact) ** 2).mean())

    assert error(rounded, shift) < error(nearest, 0) / 10
    mean_error = (patches @ (rounded * scales[:, None]).T + shift - exact).mean(axis=0)
    np.testing.assert_allclose(mean_error, 0, atol=1e-3)
    assert np.abs(rounded.astype(int)).max() <= 127


def test_together_with_inputs_that_never_vary() -> None:
    """Inputs that are always zero do no harm."""
    patches = bright_patches()
    patches[:, ::2] = 0
    weights = np.random.default_rng(1).normal(0, 1, (4, 27)).astype(np.float32)
    rounded, shift = round_weights_together(weights, weight_scales(weights), moments_of(patches))
    assert np.isfinite(shift).all()
    assert np.abs(rounded[:, 1::2]).max() > 0


def test_together_with_inputs_that_are_constant() -> None:
    """Inputs that are always the same, whose variances rounding leaves a little below 0, do no harm either."""
    constant = np.full(27, 7.3)
    covariance = np.full((27, 27), -1e-13)
    weights = np.random.default_rng(1).normal(0, 1, (4, 27)).astype(np.float32)
    scales = weight_scales(weights)
    rounded, shift = round_weights_together(weights, scales, Moments(constant, covariance))
    np.testing.assert_allclose((rounded * scales[:, None]) @ constant + shift, weights @ constant, rtol=1e-4)


def test_activations_in_full_range() -> None:
    """The highest value seen is the highest step; an input that is always zero has a step all the same."""
    assert activation_scale(LayerInput(51.0, np.ones(3, np.float32), None), is_clipped=False) == pytest.approx(0.2)
    silent = LayerInput(0.0, np.zeros(0, np.float32), None)
    assert activation_scale(silent, is_clipped=True) > 0


def test_rare_activations_are_clipped() -> None:
    """One value far out does not make all the others coarse; values that fill the range are not clipped."""
    usual = np.random.default_rng(0).exponential(1, 1_000_000).astype(np.float32)
    far = np.append(usual, np.float32(1000))
    step = activation_scale(LayerInput(1000.0, far, None), is_clipped=True)
    assert step < 0.8 * 1000 / 255
    even = np.linspace(0.01, 1, 10_000, dtype=np.float32)
    assert activation_scale(LayerInput(1.0, even, None), is_clipped=True) == pytest.approx(1 / 255, rel=0.05)
