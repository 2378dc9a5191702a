"""The layers of a network as values; str() gives each of them in the notation, which training/notation.py reads back.

    C:  16       convolution of 16 filters, 3x3, padded, ReLU      D:  16      dense layer of 16 nodes, linear
        16n      batch norm between convolution and ReLU               16R     with ReLU
        16v      not padded ("valid")                                  16n     batch norm before the ReLU
        16k5     kernel of 5x5                                         16L2    kernel regulariser L2, factor 0.01
        | or p2  max pooling 2x2, ends a group;  p3  3x3               d¼ d½ d¾ d20% d0.125 d1/3   dropout

A group is a run of convolutions of one width, always closed by a pooling. The article writes no sign for that, so `|`
is left out where the end of a group shows anyway: before another width, before a dropout, and at the end of the line.
The output layer, softmax over the classes, is never written. Flatten stands between C and D.

Source: the article's legend of its table of 28 networks; `v`, `k`, `p`, `|`, `n` in D and where `n` stands are our own.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cnnsvc.errors import InvalidError

MAX_WIDTH: Final = 65_536
MAX_KERNEL: Final = 31
MAX_POOLING: Final = 16
MAX_LAYERS: Final = 100
"""Of all kinds, C and D together: far above what these networks are for, and a bound for what a caller can order."""

_FRACTIONS: Final = {0.25: "¼", 0.5: "½", 0.75: "¾"}


@dataclass(frozen=True)
class Convolution:
    filters: int
    kernel: int = 3
    has_batch_norm: bool = False
    is_padded: bool = True

    def __post_init__(self) -> None:
        _check_range("filters", self.filters, 1, MAX_WIDTH)
        _check_range("the kernel size", self.kernel, 1, MAX_KERNEL)

    def __str__(self) -> str:
        kernel = "" if self.kernel == 3 else f"k{self.kernel}"
        return f"{self.filters}{kernel}{'n' * self.has_batch_norm}{'' if self.is_padded else 'v'}"


@dataclass(frozen=True)
class Pooling:
    """Max pooling, size x size, stride the same; what is left over at the edge is dropped."""

    size: int = 2

    def __post_init__(self) -> None:
        _check_range("the pooling size", self.size, 2, MAX_POOLING)

    def __str__(self) -> str:
        return "|" if self.size == 2 else f"p{self.size}"


@dataclass(frozen=True)
class Dropout:
    rate: float

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise InvalidError(
                f"a dropout of {self.rate} is not allowed; expected above 0 and below 1, such as d¼, d0.25 or d25%"
            )

    def __str__(self) -> str:
        percent = round(self.rate * 100)
        return "d" + _FRACTIONS.get(self.rate, f"{percent}%" if percent / 100 == self.rate else repr(self.rate))


@dataclass(frozen=True)
class Dense:
    """Linear unless it has ReLU, as in the article."""

    nodes: int
    has_relu: bool = False
    has_l2: bool = False
    has_batch_norm: bool = False

    def __post_init__(self) -> None:
        _check_range("nodes", self.nodes, 1, MAX_WIDTH)

    def __str__(self) -> str:
        return f"{self.nodes}{'n' * self.has_batch_norm}{'R' * self.has_relu}{'L2' * self.has_l2}"


ConvolutionalLayer = Convolution | Pooling | Dropout
DenseLayer = Dense | Dropout
Layer = Convolution | Pooling | Dropout | Dense


@dataclass(frozen=True)
class Architecture:
    """A network but for its image size and its classes. Raises InvalidError for an impossible order of layers."""

    convolutional: tuple[ConvolutionalLayer, ...]
    """Groups: convolutions of one width, one pooling, at most one dropout."""
    dense: tuple[DenseLayer, ...] = ()
    """Dense layers, each followed by at most one dropout."""

    def __post_init__(self) -> None:
        if not self.convolutional:
            raise InvalidError("the network has no convolution; expected at least one")
        if isinstance(self.convolutional[-1], Convolution):
            raise InvalidError(f"the convolution {self.convolutional[-1]} ends C without a pooling")
        check_num_layers(len(self.convolutional) + len(self.dense))
        for part in (self.convolutional, self.dense):
            for before, after in itertools.pairwise((None, *part)):
                assert after is not None
                check_order(before, after)

    def __str__(self) -> str:
        """Both lines in one, `C: 16n 16n d¼ D: 16R`."""
        after_each = (*self.convolutional[1:], None)
        before_each = (None, *self.convolutional[:-1])
        signs = [
            str(layer)
            for before, layer, after in zip(before_each, self.convolutional, after_each, strict=True)
            if not (layer == Pooling() and isinstance(before, Convolution) and shows_group_end(before, after))
        ]
        return " ".join(["C:", *signs, "D:", *map(str, self.dense)])


def shows_group_end(before: Convolution, after: Layer | None) -> bool:
    """Whether a group ends between the two (None: end of the line) without a sign for it."""
    if isinstance(after, Convolution):
        return after.filters != before.filters
    return after is None or isinstance(after, Dropout)


def check_order(before: Layer | None, after: Layer) -> None:
    """Raises InvalidError unless `after` may follow `before` (None: begin the line)."""
    place = "at the beginning of the line" if before is None else f"after '{before}'"
    match after:
        case Pooling() if not isinstance(before, Convolution):
            raise InvalidError(f"'{after}' {place} ends no group; expected a convolution before it")
        case Dropout() if not isinstance(before, Pooling | Dense):
            raise InvalidError(f"dropout '{after}' {place}; expected it after a group of convolutions or a dense layer")
        case Convolution() if isinstance(before, Convolution) and before.filters != after.filters:
            raise InvalidError(f"'{after}' {place} changes the width inside a group; expected a pooling between them")


def check_num_layers(num_layers: int) -> None:
    """Raises InvalidError above MAX_LAYERS."""
    if num_layers > MAX_LAYERS:
        raise InvalidError(
            f"the network has {num_layers} layers, poolings and dropouts included; allowed are {MAX_LAYERS}"
        )


def named_layers(architecture: Architecture) -> Iterator[tuple[str, Layer]]:
    """Every layer in order with a name of its own: convolution_1, pooling_1, dropout_1, dense_1, …"""
    counts: dict[str, int] = {}
    for layer in (*architecture.convolutional, *architecture.dense):
        kind = type(layer).__name__.lower()
        counts[kind] = counts.get(kind, 0) + 1
        yield f"{kind}_{counts[kind]}", layer


def _check_range(what: str, value: int, lowest: int, highest: int) -> None:
    if not lowest <= value <= highest:
        # A mistyped number can have thousands of digits.
        shown = str(value) if abs(value) < 10**12 else "a number of more than 12 digits"
        raise InvalidError(f"{what}: {shown} is not allowed; expected {lowest} to {highest}")
