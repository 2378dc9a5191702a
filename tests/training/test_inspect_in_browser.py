"""The page of an inspection in a real Chromium: it renders, asks nobody anything, and fits a phone."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.browser import chromium, new_page
from tests.training.scenes import write_scenes
from training.inspect_command import app

pytestmark = pytest.mark.slow


def test_it_renders_alone_and_fits(tmp_path: Path) -> None:
    """The page loads without a complaint or a request, runs nothing of a hostile name, and is no wider than a phone."""
    if (program := chromium()) is None:
        pytest.skip("needs a Chromium: apt-get install chromium-headless-shell")
    folder, page = tmp_path / "data", tmp_path / "page.html"
    write_scenes(folder, 4)
    for name in ('"><img src=x onerror="window.hacked = 1">.jpg', "x" * 250 + ".jpg"):
        (folder / "cat" / name).write_bytes((folder / "cat/00.jpg").read_bytes())
    (folder / "dog" / ("y" * 250 + ".png")).write_bytes(b"no image")
    assert CliRunner().invoke(app, [str(folder), "--html", str(page)]).exit_code == 0
    with new_page(program, tmp_path / "profile") as tab:
        for width in (320, 800):
            tab.open(page.as_uri(), width=width)
            assert tab.requests == [page.as_uri()]
            assert tab.complaints == []
            assert tab.evaluate("window.hacked === undefined")
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.evaluate("document.images.length") == 3
        assert tab.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
