"""The networks to try, by the article's seven rules; pure and the same for the same seed.

Each rule's values are dealt from a shuffled deck, so that every value is tried about equally often: of 26 networks
six or seven begin with each of the four widths. What does not fit the image or is too large is dealt anew.
"""

import itertools
import random
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from cnnsvc.errors import InvalidError
from cnnsvc.manifest import ImageShape
from training.architecture import Architecture, Convolution, ConvolutionalLayer, Dense, Dropout, Pooling
from training.catalogue import CATALOGUE
from training.search.outcome import Candidate
from training.shapes import NetworkShape, measure

NAMED: Final = ("26", "28")
"""Networks of the catalogue that are always compared with the others."""

START_FILTERS: Final = (8, 16, 32, 64)
GROWTHS: Final = (2.0, 1.0, 0.5)
"""Filters of a group by those of the one before: double, keep, shrink."""
LEAST_FILTERS: Final = 8
NUM_GROUPS: Final = (1, 2, 3, 4)
NUM_CONVOLUTIONS: Final = (1, 2)
POOLINGS: Final = (2, 3, 4)
DROPOUTS: Final = (None, 0.2, 0.3, 0.5)
NODES: Final = (8, 12, 16, 24, 32, 48, 64, 96, 128)
NUM_DENSE: Final = (1, 2, 3)

_TRIES_A_NETWORK: Final = 200
_Value = TypeVar("_Value")


class _Deck(Generic[_Value]):
    """Deals every value once before any of them a second time."""

    def __init__(self, values: Sequence[_Value], shuffler: random.Random) -> None:
        self._values = values
        self._shuffler = shuffler
        self._left: list[_Value] = []

    def deal(self) -> _Value:
        if not self._left:
            self._left = self._shuffler.sample(self._values, len(self._values))
        return self._left.pop()


class Space:
    """Deals architectures without end; `Space(seed)` deals the same ones in the same order."""

    def __init__(self, seed: int, max_start_filters: int = max(START_FILTERS)) -> None:
        shuffler = random.Random(seed)
        self._filters = _Deck([width for width in START_FILTERS if width <= max_start_filters], shuffler)
        self._growth = _Deck(GROWTHS, shuffler)
        self._num_groups = _Deck(NUM_GROUPS, shuffler)
        self._num_convolutions = _Deck(NUM_CONVOLUTIONS, shuffler)
        self._pooling = _Deck(POOLINGS, shuffler)
        self._has_batch_norm = _Deck((True, False), shuffler)
        self._dropout = _Deck(DROPOUTS, shuffler)
        # Rule 7: with batch norm, half of the networks go without dropout.
        self._dropout_with_batch_norm = _Deck((*DROPOUTS, None, None), shuffler)
        self._num_dense = _Deck(NUM_DENSE, shuffler)
        self._nodes = _Deck(NODES, shuffler)

    def deal(self) -> Architecture:
        filters, growth = self._filters.deal(), self._growth.deal()
        widths = [max(LEAST_FILTERS, int(filters * growth**group)) for group in range(self._num_groups.deal())]
        has_batch_norm = self._has_batch_norm.deal()
        dropout = (self._dropout_with_batch_norm if has_batch_norm else self._dropout).deal()
        num_convolutions, pooling = self._num_convolutions.deal(), self._pooling.deal()
        groups = [_group(width, num_convolutions, pooling, dropout, has_batch_norm) for width in widths]
        # Never wider behind narrower: what one layer has left out the next cannot bring back.
        nodes = sorted((self._nodes.deal() for _ in range(self._num_dense.deal())), reverse=True)
        return Architecture(tuple(itertools.chain(*groups)), tuple(Dense(width, has_relu=True) for width in nodes))


def candidates(
    num_networks: int,
    image: ImageShape,
    num_classes: int,
    *,
    seed: int,
    max_start_filters: int = max(START_FILTERS),
    is_allowed: Callable[[NetworkShape], bool] = lambda shape: True,
) -> list[Candidate]:
    """So many different networks that fit the image and are allowed; the named ones first, where the image is not too
    small for them.

    Raises InvalidError where there are not so many.
    """
    found: dict[str, Candidate] = {}
    for name in NAMED:
        architecture = CATALOGUE[name].architecture
        if (shape := _measure(architecture, image, num_classes)) is not None:
            found[str(architecture)] = Candidate(name, str(architecture), shape.num_parameters)
    space, num_named = Space(seed, max_start_filters), len(found)
    for _ in range(_TRIES_A_NETWORK * num_networks):
        if len(found) == num_networks:
            break
        architecture = space.deal()
        shape = _measure(architecture, image, num_classes)
        if str(architecture) not in found and shape is not None and is_allowed(shape):
            name = f"s{len(found) - num_named + 1:02d}"
            found[str(architecture)] = Candidate(name, str(architecture), shape.num_parameters)
    if len(found) < num_networks:
        raise InvalidError(
            f"only {len(found)} networks were found that are small enough for images of {image.height} x {image.width}"
            f" and for the limits given; expected are {num_networks}: by a larger --image-size, a larger"
            " --max-parameters or fewer --networks"
        )
    return list(found.values())


def _group(
    filters: int, num_convolutions: int, pooling: int, dropout: float | None, has_batch_norm: bool
) -> tuple[ConvolutionalLayer, ...]:
    convolutions = (Convolution(filters, has_batch_norm=has_batch_norm),) * num_convolutions
    return (*convolutions, Pooling(pooling), *([] if dropout is None else [Dropout(dropout)]))


def _measure(architecture: Architecture, image: ImageShape, num_classes: int) -> NetworkShape | None:
    """None where nothing of the image is left."""
    try:
        return measure(architecture, image, num_classes)
    except InvalidError:
        return None
