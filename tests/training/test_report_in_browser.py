"""The page of the report in a real Chromium: it renders, asks nobody anything, and fits a phone."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.browser import Page, chromium, new_page
from tests.training.made_up_scores import planted
from tests.training.reports import finished, hostile_page, scores_for, write_report_page
from training.honest_scores import fit_scores

pytestmark = pytest.mark.slow

PHONE_WIDTH = 390


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if (program := chromium()) is None:
        pytest.skip("needs a Chromium: apt-get install chromium-headless-shell")
    with new_page(program, tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture(scope="module", params=["usual", "hostile of 40 classes", "hostile of 200 classes"])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    if request.param == "usual":
        names = ["daisy", "rose", "tulip"]
        scores = fit_scores(*planted(400, 3.0), calibrate=True, accept_share=0.95, seed=0)
        trained = finished(names, [0, 0, 1, 2], scores=scores)
        return write_report_page(folder, trained, scores_for([0, 1, 1, 2], 3))
    return hostile_page(folder, int(request.param.split()[2]))


def test_it_renders_alone(tab: Page, report: Path) -> None:
    """The page loads without a complaint or a request, runs nothing, and all its pictures show."""
    tab.open(report.as_uri())
    assert tab.requests == [report.as_uri()]
    assert tab.complaints == []
    assert tab.evaluate("window.hacked === undefined")
    broken = "[...document.images].filter(image => !image.complete || !image.naturalWidth).length"
    assert tab.evaluate(broken) == 0
    assert tab.evaluate("document.images.length") >= 2


@pytest.mark.parametrize("width", [320, PHONE_WIDTH, 800])
def test_it_fits(tab: Page, report: Path, width: int) -> None:
    """Nothing but the tables in their own frames is wider than the window, with everything unfolded."""
    tab.open(report.as_uri(), width=width)
    tab.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.slow
def test_light_and_dark(tab: Page, tmp_path: Path) -> None:
    """The page is light or dark as its reader's system is."""
    report = write_report_page(tmp_path, finished(["daisy", "rose"], [0, 1]), scores_for([0, 1], 2))
    brightness = []
    for scheme in ("light", "dark"):
        tab.open(report.as_uri(), scheme=scheme)
        with Image.open(io.BytesIO(tab.screenshot())) as picture:
            brightness.append(float(np.median(np.asarray(picture.convert("L")))))
    assert brightness[0] > 200
    assert brightness[1] < 60
