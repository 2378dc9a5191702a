"""The catalogue: the article's four networks by name, anything else by notation."""

import pytest

from cnnsvc.errors import InvalidError, NotationError
from training.catalogue import CATALOGUE, CUSTOM_NAME, lookup, resolve
from training.notation import parse


def test_names() -> None:
    """The article's four networks are there, each under its own name."""
    assert list(CATALOGUE) == ["26", "28", "listing", "figure"]
    assert all(network.name == name for name, network in CATALOGUE.items())


def test_unknown_name_names_the_known() -> None:
    """An unknown name is not found, and the error says what there is."""
    with pytest.raises(InvalidError, match=r"'27'; known are 26, 28, listing, figure"):
        lookup("27")


def test_resolve_by_name() -> None:
    """A name gives the network of that name, no name the article's choice."""
    assert resolve("28", None) is CATALOGUE["28"]
    assert resolve(None, None) is CATALOGUE["26"]


def test_resolve_by_notation() -> None:
    """A notation gives a network called custom."""
    network = resolve(None, "C: 8 D: 4R")
    assert (network.name, network.architecture) == (CUSTOM_NAME, parse("C: 8 D: 4R"))


def test_resolve_refuses_both() -> None:
    """A name and a notation together are an error, also when they agree."""
    with pytest.raises(InvalidError, match="both"):
        resolve("26", "C: 8 D: 4R")


@pytest.mark.parametrize("arch", ["", "C: 8x"])
def test_resolve_passes_notation_errors_on(arch: str) -> None:
    """A notation that cannot be read is a NotationError, an empty one included."""
    with pytest.raises(NotationError):
        resolve(None, arch)


def test_empty_name_is_unknown() -> None:
    """An empty name is not silently the default."""
    with pytest.raises(InvalidError, match="no network is called ''"):
        resolve("", None)
