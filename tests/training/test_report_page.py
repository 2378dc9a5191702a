"""The page of the report: what it says, that it says nothing else's words as its own code, and that it is well made."""

import dataclasses
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnsvc.pixels import PIXELS_VERSION
from tests.training.made_up_scores import planted
from tests.training.reports import (
    HISTORY,
    HOSTILE_NAMES,
    facts,
    finished,
    hostile_page,
    result_of,
    scores_for,
    write_report_page,
)
from training.held_out import Overlap
from training.honest_scores import fit_scores
from training.page_templates import percent, plain, tiny
from training.trained import EpochRecord

NAMES = ["daisy", "rose", "tulip"]
LABELS = [0, 0, 0, 1, 1, 2]
PREDICTED = [0, 0, 1, 1, 1, 0]

VOID = {"meta", "link", "img", "br"}


class Document(HTMLParser):
    """The elements of a page and the text of each section; refuses what is not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.sections: dict[str, str] = {}
        self._open: list[str] = []
        self._section = ""
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag == "section":
            self._section = dict(attrs)["id"] or ""
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        text = " ".join((self.sections.get(self._section, "") + " " + data).split())
        self.sections[self._section] = text

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Document:
    page = write_report_page(tmp_path_factory.mktemp("bundle"), finished(NAMES, LABELS), scores_for(PREDICTED, 3))
    return Document(page.read_text())


def test_the_headline(document: Document) -> None:
    """Name, network, parameters and time of making stand above everything."""
    head = document.sections[""]
    for text in ("flowers", "Network 26", "C: 16 16 32 32 D: 16R", "963,829 parameters", "32 × 24 RGB", "3 classes"):
        assert text in head
    assert document.all("time") == [{"datetime": "2026-11-22T14:32:10+00:00"}]


def test_the_sentence_of_fitness(document: Document) -> None:
    """One sentence has the validation accuracy, the largest class's share, the training accuracy and the gap."""
    text = document.sections["fitness"]
    assert "It names 66.7% of 6 images right" in text
    assert "always answering “ daisy ”, their largest class, would get 50.0%" in text
    assert "on its training images it reached 50.0% , 16.7 points less." in text
    assert "4 of 6 right" in text
    assert "it learned" in text


def test_a_network_that_did_not_learn(tmp_path: Path) -> None:
    """A network no better than a constant answer is called that."""
    page = write_report_page(tmp_path, finished(NAMES, LABELS), scores_for([0] * 6, 3))
    assert "it did not learn" in Document(page.read_text()).sections["fitness"]


@pytest.mark.parametrize(
    ("training_accuracy", "remark"),
    [
        (1.0, "The gap is wide"),
        (0.75, "The gap is moderate"),
        (0.68, "The gap is small"),
        (0.4, "Training lags behind"),
    ],
)
def test_the_gap_is_judged(tmp_path: Path, training_accuracy: float, remark: str) -> None:
    """What the gap between both accuracies means is said in words."""
    history = [dataclasses.replace(HISTORY[0], training_accuracy=training_accuracy)]
    trained = finished(NAMES, LABELS, history=history, best_epoch=1)
    page = write_report_page(tmp_path, trained, scores_for(PREDICTED, 3))
    assert remark in Document(page.read_text()).sections["fitness"]


def test_the_curves(document: Document) -> None:
    """Two drawings with a text that says what they show, and every figure of every epoch in a table."""
    drawings = [attributes for attributes in document.all("svg") if attributes["role"] == "img"]
    assert [drawing["aria-label"].split()[0] for drawing in drawings] == ["Accuracy", "Loss"]
    assert "at the exported epoch 5, training 50.0%, validation 41.7%" in " ".join(drawings[0]["aria-label"].split())
    text = document.sections["curves"]
    assert "Epoch 5 of 7 was exported" in text
    assert "5 exported 50.0% 41.7% 0.4000 0.5000 120 3.5" in text


def test_the_confusions(document: Document) -> None:
    """The matrix has a row a class with its sum, and the most frequent mistakes are named."""
    text = document.sections["confusions"]
    assert "daisy 2 1 0 3 rose 0 2 0 2 tulip 1 0 0 1" in text
    assert "daisy taken for rose 1 image, 33.3% of the class" in text


def test_the_classes(document: Document) -> None:
    """Every class has precision and recall with the counts behind them, the weakest first."""
    text = document.sections["classes"]
    assert "tulip never given 0% 0.000 1 0 0 daisy 66.7% 66.7% 0.667 3 3 2 rose 66.7% 100% 0.800 2 3 2" in text


def test_the_mistakes(document: Document) -> None:
    """Each mistake is a picture with both classes, both scores and the file's name within the data."""
    text = document.sections["mistakes"]
    assert "The 2 of 2 wrong answers" in text
    assert "rose 70.0% is daisy 15.0% class 0/photo 2.jpg" in text
    assert "An image of tulip, taken for daisy" in {image["alt"] for image in document.all("img")}


def test_no_mistakes(tmp_path: Path) -> None:
    """A perfect split has neither mistakes nor confusions, and the page says so."""
    page = write_report_page(tmp_path, finished(NAMES, LABELS), scores_for(LABELS, 3))
    sections = Document(page.read_text()).sections
    assert "None: all 6 validation images were named right" in sections["mistakes"]
    assert "There is no confusion at all" in sections["confusions"]


def test_parity(document: Document) -> None:
    """Every artifact and engine shows how it agrees, and one that ran on no image shows that."""
    text = document.sections["parity"]
    assert "model.onnx in openvino what cnnsvc serve runs; Triton reads it too; float32" in text
    assert "1 differ 1 allowed 90.0% 996 of 1000 3 0" in text
    assert "saved_model/classify in tensorflow" in text
    assert "not run" in text


def scores_section(tmp_path: Path, **choices: Any) -> Document:
    fitted = fit_scores(*planted(400, 3.0), seed=0, **({"calibrate": True, "accept_share": 0.95} | choices))
    noise = np.asarray([[0.3, 0.3, 0.4], [0.9, 0.1, 0.0]], np.float32)
    trained = finished(NAMES, LABELS, scores=fitted.with_strangers({"noise": noise} if fitted.threshold else {}))
    return Document(write_report_page(tmp_path, trained, scores_for(PREDICTED, 3)).read_text())


def test_the_honest_scores(tmp_path: Path) -> None:
    """Both errors, the temperature, the threshold, what it answers, what it rejects, and a drawing before and after."""
    document = scores_section(tmp_path)
    fitted = fit_scores(*planted(400, 3.0), calibrate=True, accept_share=0.95, seed=0)
    text = document.sections["scores"]
    assert f"{percent(fitted.before.expected_calibration_error)} as trained," in text
    assert f"{percent(fitted.after.expected_calibration_error)} after its logits were divided" in text
    assert f"temperature {fitted.temperature:.3f} ," in text
    assert f"below {fitted.threshold} an image is answered with rejected" in text
    assert f"it answers {percent(fitted.selection.share_answered)}" in text
    assert "noise: 50.0%" in text
    assert {"href": "#scores"} in document.all("a")
    drawings = [one["aria-label"].split(":")[0] for one in document.all("svg")]
    assert drawings[2:] == ["Before calibration", "After calibration, cross-validated"]
    num_bars = sum(one.num_images > 0 for side in (fitted.before, fitted.after) for one in side.bins)
    assert len(document.all("rect")) == num_bars


def test_scores_as_trained(tmp_path: Path) -> None:
    """Where nothing was calibrated and nothing is rejected the page says both, why, and has one drawing."""
    document = scores_section(tmp_path, calibrate=False, accept_share=1.0)
    text = document.sections["scores"]
    assert "Its scores stay as they are: --no-calibrate asked for it." in text
    assert "there is no threshold" in text
    assert len(document.all("svg")) == 3


def test_a_page_without_fitted_scores(document: Document) -> None:
    """Has no section of them, and no link to one."""
    assert "scores" not in document.sections
    assert {"href": "#scores"} not in document.all("a")


def test_data_settings_and_versions(document: Document) -> None:
    """Counts, fingerprints, ignored and unreadable files, every setting with its meaning, every version."""
    data, settings = document.sections["data"], document.sections["settings"]
    assert "Images 1,234" in data
    assert "Ignored by their ending: 2 .txt" in data
    assert "tulip 40 1 0000000000000000…" in data
    assert "rose/broken.jpg the image is empty (0 bytes)" in data
    assert "--batch-size Images a training step, all devices together. 30" in settings
    assert "--arch" in settings
    assert "not set" in settings
    assert "--deterministic Same seed, same machine, same weights; slower. yes" in settings
    for text in ("CPU, 2 cores", "python 3.11.7", "keras 3.15.1", f"pixel function version {PIXELS_VERSION}"):
        assert text in settings
    assert "daisy 70.0% 000_daisy.png" in document.sections["golden"]


def test_what_was_found_before_training(document: Document) -> None:
    """Duplicates, contradicting labels, odd files, imbalance, formats, and what was left out."""
    text = document.sections["data"]
    for part in (
        "Exact copies 1,001 Groups of near duplicates 2 Exact copies under two labels 3",
        "Single-colour 6",
        "Largest class by smallest 3.2 ×",
        "Left out of training 1",
        "Formats by content: 1,200 JPEG , 34 PNG .",
        "1 files left out for their two labels rose/twice.jpg",
    ):
        assert part in text


def test_the_time(document: Document) -> None:
    """Each part has its seconds, and its images a second where it has any."""
    text = document.sections["time"]
    assert "inspection 2.0 617 decoding 0.0 – training 61.2 120 export 9.5 –" in text


def test_the_test_folder(tmp_path: Path) -> None:
    """Accuracy with its interval, each class, the mistakes, and what is in training too, with the figure without it."""
    overlaps = [
        Overlap("daisy/a.jpg", "daisy/b.jpg", is_exact=True),
        Overlap("rose/c.jpg", "tulip/d.jpg", is_exact=False),
    ]
    tested = result_of(NAMES, [0, 0, 1, 1], scores_for([0, 0, 1, 0], 3), overlaps, absent_classes=["tulip"])
    page = write_report_page(tmp_path, finished(NAMES, LABELS), scores_for(PREDICTED, 3), tested)
    document = Document(page.read_text())
    text = document.sections["test"]
    for part in (
        "model.onnx names 75.0% of 4 images in “ later ” right",
        "between 30.1% and 95.4% (95% interval)",
        "Unreadable 1",
        "No test image of tulip : how good",
        "rose 100% 50.0% 0.667 2 1 1 daisy 66.7% 100% 0.800 2 3 2",
        "rose taken for daisy 1 image, 50.0% of the class",
        "2 images are the same as one that the network was trained or chosen on",
        "Of the other 2 it names 50.0% right",
        "daisy/a.jpg = daisy/b.jpg rose/c.jpg ≈ tulip/d.jpg",
    ):
        assert part in text
    assert "#test" in {link["href"] for link in document.all("a")}


def test_without_a_test_folder(document: Document) -> None:
    """There is no section and no link to one."""
    assert "test" not in document.sections
    assert "#test" not in {link["href"] for link in document.all("a")}


def test_a_training_that_recorded_nothing(tmp_path: Path) -> None:
    """Facts are for people: where there are none, the page is written without them."""
    trained = finished(NAMES, LABELS, recorded={})
    sections = Document(write_report_page(tmp_path, trained, scores_for(PREDICTED, 3)).read_text()).sections
    assert "tulip – 1 –" in sections["data"]


def test_epochs_without_number_and_by_the_thousand(tmp_path: Path) -> None:
    """Thousands of epochs are thinned out, the chosen one stays, and a loss that is no number interrupts its curve."""
    history = [EpochRecord(epoch, float("nan"), 0.5, 0.1, 0.5, 100.0, 1.0) for epoch in range(1, 5001)]
    trained = finished(NAMES, LABELS, history=history, best_epoch=1234)
    page = write_report_page(tmp_path, trained, scores_for(PREDICTED, 3))
    assert page.stat().st_size < 200_000
    assert "1234 exported" in Document(page.read_text()).sections["curves"]


@pytest.mark.parametrize("num_classes", [6, 40, 41, 200])
def test_hostile_names_stay_text(tmp_path: Path, num_classes: int) -> None:
    """Names that are markup, templates or 255 letters long add no element, no attribute and not much weight."""
    page = hostile_page(tmp_path, num_classes)
    content = page.read_text()
    document = Document(content)
    tags = {tag for tag, _ in document.elements}
    assert tags.isdisjoint({"script", "iframe", "object", "embed", "form", "input", "base"})
    assert not any(name.startswith("on") for _, attributes in document.elements for name in attributes)
    assert all(image["src"].startswith("data:image/") for image in document.all("img"))
    assert all(name in document.sections["data"] for name in HOSTILE_NAMES[:4])
    assert "49" not in document.sections["confusions"].split()
    assert len(content.encode()) < 1_500_000


def test_characters_that_act_are_shown(tmp_path: Path) -> None:
    """Direction overrides, line ends and broken bytes of a file's name are written out."""
    text = Document(hostile_page(tmp_path, 6).read_text()).sections["mistakes"]
    assert r"\u202egpj.exe\n\udcff<img src=x>" in text


@pytest.mark.parametrize("num_classes", [3, 60])
def test_well_made(tmp_path: Path, num_classes: int) -> None:
    """Language, one h1, no level left out, unique ids, links that arrive, alternative texts, headers with a scope."""
    names = [f"class {index}" for index in range(num_classes)]
    page = write_report_page(tmp_path, finished(names, LABELS), scores_for(PREDICTED, num_classes))
    document = Document(page.read_text())
    assert document.all("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _ in document.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [attributes["id"] for _, attributes in document.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link["href"] for link in document.all("a")} <= {f"#{one}" for one in ids}
    labels = {attributes["aria-labelledby"] for _, attributes in document.elements if "aria-labelledby" in attributes}
    assert labels <= set(ids)
    assert all(image["alt"] for image in document.all("img"))
    assert all(header["scope"] in ("row", "col") for header in document.all("th"))


def test_nothing_is_asked_from_outside(document: Document) -> None:
    """No address but data: and the page's own sections; the page's policy forbids all others, and every script."""
    addresses = [
        attributes[name] for _, attributes in document.elements for name in ("src", "href") if name in attributes
    ]
    assert all(address.startswith(("data:", "#")) for address in addresses)
    (policy,) = [meta["content"] for meta in document.all("meta") if "http-equiv" in meta]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_the_figures_read_well() -> None:
    """Shares, differences and values are written as people read them."""
    assert [percent(share) for share in (0, 1, 0.636, 0.99999, 0.0001)] == ["0%", "100%", "63.6%", ">99.9%", "<0.1%"]
    assert percent(float(np.nextafter(1, 0))) == "100%"
    assert [tiny(value) for value in (0, 0.0716, 4.8e-7, 1e-9)] == ["0", "0.0716", "0.0000005", "< 0.0000001"]
    assert [plain(value) for value in (None, True, 0.25, "auto", [1])] == ["not set", "yes", "0.25", "auto", "[1]"]


def test_unknown_facts_are_shown(tmp_path: Path) -> None:
    """What a later training records besides is not lost."""
    trained = finished(NAMES, LABELS, recorded=facts(NAMES, stopped_early={"by": "patience"}))
    sections = Document(write_report_page(tmp_path, trained, scores_for(PREDICTED, 3)).read_text()).sections
    assert 'stopped early {"by":"patience"}' in sections["settings"]
