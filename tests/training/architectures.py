"""Hypothesis strategies for architectures: every one that is valid can come out."""

import itertools
from typing import Any

from hypothesis import strategies as st

from training.architecture import (
    MAX_KERNEL,
    MAX_POOLING,
    MAX_WIDTH,
    Architecture,
    Convolution,
    ConvolutionalLayer,
    Dense,
    DenseLayer,
    Dropout,
    Pooling,
)

widths = st.integers(1, MAX_WIDTH)
rates = st.sampled_from([0.1, 0.2, 0.25, 0.5, 0.75]) | st.floats(0, 1, exclude_min=True, exclude_max=True)
optional_dropouts = st.lists(st.builds(Dropout, rates), max_size=1)


@st.composite
def groups(draw: Any) -> list[ConvolutionalLayer]:
    """Convolutions of one width, a pooling, perhaps a dropout."""
    width = draw(st.sampled_from([8, 16]) | widths)  # often the neighbour's, so that the sign for a group's end matters
    one = st.builds(Convolution, st.just(width), st.just(3) | st.integers(1, MAX_KERNEL), st.booleans(), st.booleans())
    pooling = draw(st.just(Pooling()) | st.builds(Pooling, st.integers(2, MAX_POOLING)))
    return [*draw(st.lists(one, min_size=1, max_size=3)), pooling, *draw(optional_dropouts)]


@st.composite
def architectures(draw: Any) -> Architecture:
    convolutional = list(itertools.chain.from_iterable(draw(st.lists(groups(), min_size=1, max_size=4))))
    dense: list[DenseLayer] = []
    for layer in draw(st.lists(st.builds(Dense, widths, st.booleans(), st.booleans(), st.booleans()), max_size=3)):
        dense += [layer, *draw(optional_dropouts)]
    return Architecture(tuple(convolutional), tuple(dense))
