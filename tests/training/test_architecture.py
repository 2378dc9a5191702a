"""Architectures: only possible ones exist, and their layers have names of their own."""

import pytest

from cnnsvc.errors import InvalidError
from training.architecture import MAX_LAYERS, Architecture, Convolution, Dense, Dropout, Pooling, named_layers


@pytest.mark.parametrize(
    ("convolutional", "dense", "complaint"),
    [
        ((), (), "no convolution"),
        ((Convolution(8),), (), "without a pooling"),
        ((Pooling(),), (), "ends no group"),
        ((Convolution(8), Pooling(), Pooling()), (), "ends no group"),
        ((Convolution(8), Dropout(0.5), Pooling()), (), "expected it after a group"),
        ((Convolution(8), Pooling(), Dropout(0.5), Dropout(0.5)), (), "expected it after a group"),
        ((Convolution(8), Convolution(9), Pooling()), (), "changes the width inside a group"),
        ((Convolution(8), Pooling()), (Dropout(0.5),), "expected it after a group"),
        ((Convolution(8), Pooling()), (Dense(1),) * (MAX_LAYERS - 1), "101 layers"),
    ],
)
def test_impossible_order_is_refused(
    convolutional: tuple[Convolution | Pooling | Dropout, ...], dense: tuple[Dense | Dropout, ...], complaint: str
) -> None:
    """An architecture that the notation cannot say does not exist either."""
    with pytest.raises(InvalidError, match=complaint):
        Architecture(convolutional, dense)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, float("nan"), float("inf")])
def test_dropout_of_nothing_or_everything_is_refused(rate: float) -> None:
    """A dropout lies strictly between 0 and 1."""
    with pytest.raises(InvalidError, match="expected above 0 and below 1"):
        Dropout(rate)


def test_layers_are_counted_by_kind() -> None:
    """Names number each kind of layer from 1 over the whole network, in order."""
    architecture = Architecture(
        (Convolution(8), Convolution(8), Pooling(), Dropout(0.5), Convolution(8), Pooling()), (Dense(4), Dropout(0.5))
    )
    names = [name for name, _ in named_layers(architecture)]
    assert names == [
        "convolution_1",
        "convolution_2",
        "pooling_1",
        "dropout_1",
        "convolution_3",
        "pooling_2",
        "dense_1",
        "dropout_2",
    ]
