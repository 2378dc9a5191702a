"""The networks that have a name, and the choice between a name and a notation."""

from dataclasses import dataclass
from typing import Final

from cnnsvc.errors import InvalidError
from training.architecture import Architecture
from training.notation import parse

CUSTOM_NAME: Final = "custom"
"""Name of a network that comes from a notation."""
DEFAULT_NAME: Final = "26"
DEFAULT_IMAGE_SIZE: Final = 180


@dataclass(frozen=True)
class NamedNetwork:
    name: str
    architecture: Architecture
    image_size: int
    """Height and width that it was made for, in pixels; any other works as long as the pooling leaves something."""
    note: str


# 59,168 = 43·43·32 inputs of the first dense layer hold when the last convolution of a group is not padded. The table
# with the signs of 26 and 28 is lost: where they have batch norm and dropout is our choice.
_CONVOLUTIONS_OF_26_AND_28: Final = "C: 16n 16nv d¼ 32n 32nv d¼"

CATALOGUE: Final[dict[str, NamedNetwork]] = {
    network.name: network
    for network in (
        NamedNetwork(
            "26",
            parse(f"{_CONVOLUTIONS_OF_26_AND_28} D: 16R"),
            180,
            "the article's choice: best accuracy for its parameters",
        ),
        NamedNetwork("28", parse(f"{_CONVOLUTIONS_OF_26_AND_28} D: 8R 8R"), 180, "half the parameters of 26"),
        NamedNetwork(
            "listing",
            # Batch norm, pooling and dropout stand in the listing's comments only.
            parse("C: 32n 32n d20% 64k5n 64k5n d20% D: 128R 64R"),
            200,
            "the article's Keras listing, with the batch norm and dropout of its comments",
        ),
        NamedNetwork(
            "figure",
            # The drawing leaves open whether a group has one convolution or two; 25·25·128 = 80,000 either way, and
            # the article's own 160,000 is a slip.
            parse("C: 32 32 64 64 128 128 D: 1024R 512R"),
            200,
            "the article's drawing, two convolutions a group",
        ),
    )
}


def lookup(name: str) -> NamedNetwork:
    """Raises InvalidError that names what is known."""
    try:
        return CATALOGUE[name]
    except KeyError:
        raise InvalidError(f"no network is called {name!r}; known are {', '.join(CATALOGUE)}") from None


def resolve(model: str | None, arch: str | None) -> NamedNetwork:
    """The network of that name or that notation, 26 where neither is given.

    Raises InvalidError where both are or the name is unknown, NotationError.
    """
    if arch is None:
        return lookup(DEFAULT_NAME if model is None else model)
    if model is not None:
        raise InvalidError(f"both a network's name, {model!r}, and a notation, {arch!r}, were given; expected one")
    return NamedNetwork(CUSTOM_NAME, parse(arch), DEFAULT_IMAGE_SIZE, "")
