"""The notation: reads what the article writes, prints what it reads, points at what it cannot read."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnsvc.errors import NotationError
from tests.training.architectures import architectures
from training.architecture import MAX_LAYERS, MAX_WIDTH, Architecture, Convolution, Dense, Dropout, Pooling
from training.catalogue import CATALOGUE
from training.notation import MAX_TEXT_LENGTH, parse


@given(architectures())
@settings(deadline=None)  # a busy machine is no failure
def test_print_is_read_back(architecture: Architecture) -> None:
    """parse(str(x)) == x for every architecture."""
    assert parse(str(architecture)) == architecture


@pytest.mark.parametrize("name", CATALOGUE)
def test_catalogue_is_read_back(name: str) -> None:
    """parse(str(x)) == x for every network of the catalogue."""
    assert parse(str(CATALOGUE[name].architecture)) == CATALOGUE[name].architecture


def test_longest_architecture_is_read_back() -> None:
    """The limit on the text lets the longest print of the largest architecture through."""
    group = (Convolution(MAX_WIDTH, 31, True, False), Pooling(16), Dropout(1.2345678901234567e-105))
    architecture = Architecture(group * (MAX_LAYERS // 3))
    assert len(str(architecture)) < MAX_TEXT_LENGTH
    assert parse(str(architecture)) == architecture


def test_article_example() -> None:
    """The article's own example has a pooling before each of its dropouts."""
    group = Pooling(), Dropout(0.25)
    assert parse("C: 16n 16n d¼ 32n 32n d¼\nD: 16R") == Architecture(
        (*(Convolution(16, 3, True),) * 2, *group, *(Convolution(32, 3, True),) * 2, *group), (Dense(16, True),)
    )


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("C: 16 16 32 32", "C: 16 16 32 32 D:"),
        ("C: 16 16 | 32 32 |\nD:", "C: 16 16 32 32 D:"),
        ("C:16 16|16 p2 16 D:8", "C: 16 16 | 16 | 16 D: 8"),
        ("C: 16 p3 32 p4 d½ 16", "C: 16 p3 32 p4 d½ 16 D:"),
        ("C: 16 16 p2 d¼ 16", "C: 16 16 d¼ 16 D:"),
        ("C: 16vn 16k5n 16nk5 16vk3n", "C: 16nv 16k5n 16k5n 16nv D:"),
        ("\n  C:\t16\n\n  D:   8L2R 8Rn 8\n", "C: 16 D: 8RL2 8nR 8"),
        ("C: 016 D: 8 d50% 8R d½ 8", "C: 16 D: 8 d½ 8R d½ 8"),
    ],
)
def test_spellings(written: str, printed: str) -> None:
    """Each network has many spellings and one print."""
    assert str(parse(written)) == printed


@pytest.mark.parametrize(
    ("spellings", "rate"),
    [
        (["d¼", "d0.25", "d.25", "d25%", "d25.0%", "d1/4"], 0.25),
        (["d½", "d0.5", "d50%", "d2/4"], 0.5),
        (["d¾", "d0.75", "d75%", "d3/4"], 0.75),
        (["d⅕", "d0.2", "d20%", "d1/5"], 0.2),
        (["d1e-05", "d0.00001", "d0.001%"], 1e-5),
    ],
)
def test_dropout_spellings(spellings: list[str], rate: float) -> None:
    """Fractions, shares and percents are the same dropout."""
    for spelling in spellings:
        assert parse(f"C: 8 {spelling}").convolutional[-1] == Dropout(rate)


@pytest.mark.parametrize(
    ("written", "column", "message"),
    [
        ("", 1, "the text is empty"),
        (" \n ", 1, "the text is empty"),
        ("16 16", 1, "expected 'C:'"),
        ("D: 16", 1, "expected 'C:'"),
        ("C:", 3, "C has no convolution"),
        ("C: D: 16", 3, "C has no convolution"),
        ("C: 16 C: 16", 7, "stands twice"),
        ("C: 16 D: 8 D: 8", 12, "follows D:"),
        ("C: 16 D: 8 C: 8", 12, "follows D:"),
        ("C: 16n 32x", 8, "'32x' is not a layer; expected a width such as 32 or 32n"),
        ("C: 16R", 4, "'16R' is not a layer"),
        ("C: 16nk", 4, "'16nk' is not a layer"),
        ("C: 16\nD: 8R 9v", 13, "'9v' is not a layer; expected a number of nodes such as 16 or 16R"),
        ("C: 16\nD: 8 |", 12, "'|' is not a layer"),
        ("C: 16nn", 4, "'16nn' has a sign twice"),
        ("C: 16k3k5", 4, "'16k3k5' has a sign twice"),
        ("C: | 16", 4, "'|' at the beginning of the line ends no group"),
        ("C: 16 | |", 9, "'|' after '|' ends no group"),
        ("C: 16 d¼ |", 10, "'|' after 'd¼' ends no group"),
        ("C: d¼ 16", 4, "dropout 'd¼' at the beginning of the line"),
        ("C: 16 d¼ d50%", 10, "dropout 'd½' after 'd¼'"),
        ("C: 16 D: d¼ 16", 10, "dropout 'd¼' at the beginning of the line"),
        ("C: 0", 4, "filters: 0 is not allowed; expected 1 to 65536"),
        ("C: 65537", 4, "filters: 65537 is not allowed"),
        ("C: 16 D: 0R", 10, "nodes: 0 is not allowed"),
        ("C: 16k0", 4, "the kernel size: 0 is not allowed; expected 1 to 31"),
        ("C: 16 p1", 7, "the pooling size: 1 is not allowed; expected 2 to 16"),
        ("C: 16 p17", 7, "the pooling size: 17 is not allowed"),
        ("C: 16 d25", 7, "a dropout of 25.0 is not allowed; expected above 0 and below 1"),
        ("C: 16 d0", 7, "a dropout of 0.0 is not allowed"),
        ("C: 16 d100%", 7, "a dropout of 1.0 is not allowed"),
        ("C: 16 d1e999", 7, "a dropout of inf is not allowed"),
        ("C: 16 d1/0", 7, "'d1/0' is not a dropout; expected a share such as"),
        ("C: 16 d", 7, "'d' is not a dropout"),
        ("C: 16 d¼%", 7, "'d¼%' is not a dropout"),
        ("C: ١٦", 4, "'١٦' is not a layer"),
        ("C: \ud800", 4, r"'\ud800' is not a layer"),
        ("C: " + "x" * 99, 4, f"'{'x' * 20}…' is not a layer"),
        ("C: " + "9" * 3900, 4, "filters: a number of more than 12 digits is not allowed"),
        ("C: " + "8 " * 101, 202, "101 layers"),
        ("C: 8 D: " + "8 " * 99, 205, "101 layers"),
        ("C: 8" + " " * MAX_TEXT_LENGTH, MAX_TEXT_LENGTH + 1, "4004 characters; allowed are 4000"),
    ],
)
def test_error_points_at_the_column(written: str, column: int, message: str) -> None:
    """What cannot be read is an error that names the column, what stands there and what is expected."""
    with pytest.raises(NotationError) as caught:
        parse(written)
    assert str(caught.value).startswith(f"notation column {column}: ")
    assert message in str(caught.value)
    assert caught.value.column == column


_nearly_notation = st.text(alphabet="CD: |\n0123456789nvkpRLd¼½%/.e-", max_size=60).map("C: 8 ".__add__)


@given(st.text(max_size=200) | _nearly_notation)
@settings(deadline=None, max_examples=300)  # a busy machine is no failure
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever is written is an architecture that prints and reads back, or a NotationError inside the text."""
    architecture, column = None, 1
    try:
        architecture = parse(text)
    except NotationError as error:
        column = error.column
    assert 1 <= column <= len(text) + 1
    assert architecture is None or parse(str(architecture)) == architecture
