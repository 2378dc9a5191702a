"""The model card, as a Markdown parser reads it: what it says, what it leaves to people, and that names stay text."""

import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.training.reports import HOSTILE_NAMES, finished, hostile_page, result_of, scores_for, write_report_page
from tests.training.test_report_page import Document
from training.held_out import HeldOutResult, Overlap
from training.model_card import CARD_NAME

NAMES = ["daisy", "rose", "tulip"]
LABELS = [0, 0, 0, 1, 1, 2]
PREDICTED = [0, 0, 1, 1, 1, 0]
ELEMENTS = {"h1", "h2", "p", "ul", "li", "strong", "table", "thead", "tbody", "tr", "th", "td"}
SECTIONS = [
    "Model details",
    "Intended use",
    "Factors",
    "Metrics",
    "Evaluation data",
    "Training data",
    "Quantitative analyses",
    "Ethical considerations",
    "Caveats and recommendations",
]


def card_of(page: Path) -> str:
    return page.with_name(CARD_NAME).read_text(encoding="utf-8")


def rendered(card: str) -> str:
    """As CommonMark with tables and with HTML let through, so that what is not escaped acts."""
    html: str = MarkdownIt("commonmark").enable("table").render(card)
    return html


def words(html: str) -> str:
    return " ".join(re.sub("<[^>]*>", " ", html).split())


@pytest.fixture
def tested() -> HeldOutResult:
    overlaps = [Overlap("daisy/a.jpg", "daisy/b.jpg", is_exact=True)]
    return result_of(NAMES, [0, 0, 1, 1], scores_for([0, 0, 1, 0], 3), overlaps)


def test_the_sections(tmp_path: Path) -> None:
    """They are those of the paper, in its order, and all but the figures leave a place for people."""
    card = card_of(write_report_page(tmp_path, finished(NAMES, LABELS), scores_for(PREDICTED, 3)))
    parts = card.split("\n## ")
    assert [part.partition("\n")[0] for part in parts[1:]] == SECTIONS
    assert [section for section, part in zip(SECTIONS, parts[1:], strict=True) if "**To fill in:**" not in part] == [
        "Quantitative analyses"
    ]


def test_what_the_run_knows(tmp_path: Path) -> None:
    """Network, classes, data, what was found in them, and the figures with their intervals."""
    card = card_of(write_report_page(tmp_path, finished(NAMES, LABELS), scores_for(PREDICTED, 3)))
    text = words(rendered(card))
    for part in (
        "Model card: flowers",
        "Made: 2026-11-22, by cnnsvc 0.1.0, keras 3.15.1",
        "Network: 26, C: 16 16 32 32 D: 16R; 963,829 parameters",
        "images of 32 × 24 RGB pixels",
        "each of 3 classes, which sum to 1: daisy, rose, tulip",
        "Validation: 6 images of the folder “flowers”",
        "Test: none was given. To fill in:",
        "Folder “flowers”: 1,234 images, 925 of them trained on",
        "Exact copies: 1001; groups of near duplicates: 2",
        "validation 0.667 0.300 to 0.903 4 6",
        "Always naming the largest validation class, daisy, would get 0.500",
        "tulip 1 never given 0.000 0.000 daisy 3 0.667 0.667 0.667",
        "The largest class has 3.2 times",
    ):
        assert part in text


def test_a_test_folder(tmp_path: Path, tested: HeldOutResult) -> None:
    """Its figures stand beside those of the validation, its classes in their place, its overlaps are told."""
    page = write_report_page(tmp_path, finished(NAMES, LABELS), scores_for(PREDICTED, 3), tested)
    text = words(rendered(card_of(page)))
    for part in (
        "Test: 4 images of the folder “later”, never trained or chosen on.",
        "In the training folder too, the same or nearly: 1.",
        "test 0.750 0.301 to 0.954 3 4 test, without images that are in training too 0.500",
        "By class, on test images",
        "tulip 0 never given no image no image",
        "Classes without an image that examined them: 1",
    ):
        assert part in text


def test_a_training_that_recorded_nothing(tmp_path: Path) -> None:
    """Where there are no facts the card is written without them."""
    text = words(
        rendered(card_of(write_report_page(tmp_path, finished(NAMES, LABELS, recorded={}), scores_for(PREDICTED, 3))))
    )
    assert "Made: 2026-11-22 Version" in text


def test_nothing_is_claimed_that_is_not_known(tmp_path: Path) -> None:
    """No section speaks of people, rights or use but where it asks for words of them."""
    card = card_of(write_report_page(tmp_path, finished(NAMES, LABELS), scores_for(PREDICTED, 3)))
    unasked = re.sub(r"\*\*To fill in:\*\*.*?(?=\n- |\n\n|\Z)", "", card, flags=re.DOTALL)
    assert not re.search(r"licen[cs]e|rights|people|fair|bias|safe", unasked.partition("## Model details")[2])


@pytest.mark.parametrize("num_classes", [6, 60, 300])
def test_hostile_names_stay_text(tmp_path: Path, num_classes: int) -> None:
    """Names that are HTML, Markdown or templates add no element, no row and no section."""
    page = hostile_page(tmp_path, num_classes)
    card = card_of(page)
    html = rendered(card)
    document = Document(html)
    tags = {tag for tag, _ in document.elements}
    assert tags == ELEMENTS
    assert [line for line in card.splitlines() if line.startswith("## ")] == [f"## {name}" for name in SECTIONS]
    assert len(document.all("tr")) == 1 + 3 + 1 + min(num_classes, 250)
    assert all(name in document.sections[""] for name in HOSTILE_NAMES[:4])


@pytest.mark.parametrize(
    "name",
    ["# head", "- item", "1. one", "> quote", "a | b", "[link](javascript:1)", "![x](y)", "`code`", "*b* _i_ ~~s~~",
     "<http://x.y>", "https://x.y", "www.x.y", "a@b.c", "&lt;", "\\", "==="],
)  # fmt: skip
def test_markdown_in_a_name(tmp_path: Path, name: str) -> None:
    """Whatever means something in Markdown is read back as it was, with bare addresses made links where they act."""
    page = write_report_page(tmp_path, finished([name, "rose", "tulip"], LABELS), scores_for(PREDICTED, 3))
    document = Document(rendered(card_of(page)))
    assert {tag for tag, _ in document.elements} == ELEMENTS | {"code"}
    assert f"sum to 1: {name}, rose, tulip" in document.sections[""]
    assert not re.search(r"(?<!\\):(?=//)|www\.|(?<!\\)@", card_of(page))
