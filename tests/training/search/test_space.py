"""training/search/space.py: the article's seven rules as networks to try."""

from collections import Counter

import pytest

from cnnsvc.errors import InvalidError
from cnnsvc.manifest import ImageShape
from training.architecture import Architecture, Convolution, Dense, Dropout, Pooling
from training.catalogue import CATALOGUE
from training.notation import parse
from training.search.space import (
    DROPOUTS,
    LEAST_FILTERS,
    NODES,
    NUM_DENSE,
    NUM_GROUPS,
    POOLINGS,
    START_FILTERS,
    Space,
    candidates,
)
from training.shapes import measure

PHOTOGRAPH = ImageShape(180, 180, 3)


def convolutions(architecture: Architecture) -> list[Convolution]:
    return [layer for layer in architecture.convolutional if isinstance(layer, Convolution)]


def groups(architecture: Architecture) -> list[list[Convolution]]:
    found: list[list[Convolution]] = [[]]
    for layer in architecture.convolutional:
        if isinstance(layer, Convolution):
            found[-1].append(layer)
        elif isinstance(layer, Pooling):
            found.append([])
    return found[:-1]


def dropout(architecture: Architecture) -> float | None:
    rates = {layer.rate for layer in architecture.convolutional if isinstance(layer, Dropout)}
    assert len(rates) <= 1
    return next(iter(rates), None)


@pytest.fixture(scope="module")
def dealt() -> list[Architecture]:
    space = Space(7)
    return [space.deal() for _ in range(360)]


def test_every_network_keeps_to_the_rules(dealt: list[Architecture]) -> None:
    """Widths, convolutions a group, pooling, dropout and dense layers are ones that the article names."""
    for architecture in dealt:
        each = groups(architecture)
        assert len(each) in NUM_GROUPS
        assert {len(group) for group in each} < {1, 2}
        widths = [group[0].filters for group in each]
        assert widths[0] in START_FILTERS
        assert min(widths) >= LEAST_FILTERS
        doubled, kept, shrunk = (
            [max(LEAST_FILTERS, int(widths[0] * growth**place)) for place in range(len(widths))]
            for growth in (2, 1, 0.5)
        )
        assert widths in (doubled, kept, shrunk)
        assert {layer.size for layer in architecture.convolutional if isinstance(layer, Pooling)} <= set(POOLINGS)
        assert len({convolution.has_batch_norm for convolution in convolutions(architecture)}) == 1
        assert dropout(architecture) in DROPOUTS
        dense = [layer.nodes for layer in architecture.dense if isinstance(layer, Dense)]
        assert len(dense) in NUM_DENSE
        assert set(dense) <= set(NODES)
        assert dense == sorted(dense, reverse=True)
        assert str(parse(str(architecture))) == str(architecture)


def test_every_value_of_a_rule_is_tried_equally_often(dealt: list[Architecture]) -> None:
    """None of the article's values is neglected by chance."""
    assert Counter(convolutions(one)[0].filters for one in dealt) == dict.fromkeys(START_FILTERS, 90)
    assert Counter(len(groups(one)) for one in dealt) == dict.fromkeys(NUM_GROUPS, 90)
    assert Counter(len(one.dense) for one in dealt) == dict.fromkeys(NUM_DENSE, 120)
    with_batch_norm = [one for one in dealt if convolutions(one)[0].has_batch_norm]
    assert len(with_batch_norm) == 180
    assert Counter(map(dropout, with_batch_norm)) == {None: 90, 0.2: 30, 0.3: 30, 0.5: 30}
    without = Counter(dropout(one) for one in dealt if not convolutions(one)[0].has_batch_norm)
    assert without == dict.fromkeys(DROPOUTS, 45)


def test_the_same_seed_gives_the_same_networks() -> None:
    """And another seed others."""

    def found(seed: int) -> list[str]:
        return [one.notation for one in candidates(28, PHOTOGRAPH, 9, seed=seed)]

    assert found(100) == found(100)
    assert set(found(100)) & set(found(101)) < set(found(100))


@pytest.mark.parametrize("size", [24, 32, 180])
def test_candidates_fit_the_image_and_differ(size: int) -> None:
    """Of 200 networks none comes twice, and each can be built for the image; its parameters are told."""
    image = ImageShape(size, size, 3)
    found = candidates(200, image, 9, seed=100)
    assert len({one.notation for one in found}) == len({one.name for one in found}) == 200
    for one in found:
        assert measure(parse(one.notation), image, 9).num_parameters == one.num_parameters


def test_the_articles_networks_are_among_them() -> None:
    """26 and 28 stand first, by the notation of the catalogue, even where they are larger than what is allowed."""
    found = candidates(6, PHOTOGRAPH, 9, seed=1, is_allowed=lambda shape: shape.num_parameters < 100_000)
    assert [one.name for one in found] == ["26", "28", "s01", "s02", "s03", "s04"]
    assert [one.notation for one in found[:2]] == [str(CATALOGUE[name].architecture) for name in ("26", "28")]
    assert [one.num_parameters // 1000 for one in found[:2]] == [963, 490]
    assert all(one.num_parameters < 100_000 for one in found[2:])


def test_a_named_network_that_does_not_fit_is_left_out() -> None:
    """Images of 8x8 are too small for 26 and 28; as many others are tried in their place."""
    found = candidates(5, ImageShape(8, 8, 1), 2, seed=1)
    assert [one.name for one in found] == ["s01", "s02", "s03", "s04", "s05"]


def test_the_widest_start_is_a_limit() -> None:
    """Simple images begin with few filters."""
    found = candidates(40, PHOTOGRAPH, 9, seed=1, max_start_filters=16)
    assert {convolutions(parse(one.notation))[0].filters for one in found} == {8, 16}


def test_a_space_that_is_too_small_is_told() -> None:
    """Where so many networks cannot be found the error says how many were, and what helps."""
    with pytest.raises(InvalidError, match=r"only 2 networks .* 32 x 32 .*expected are 4.*--max-parameters"):
        candidates(4, ImageShape(32, 32, 3), 9, seed=1, is_allowed=lambda shape: False)
