"""Explanations on the page at /."""

import base64
import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.browser import Page
from tests.e2e.page.visitor import Visitor, visited
from tests.encoded import encode, scene

pytestmark = pytest.mark.slow


PRESS = "document.querySelector('.why button').click()"
LEGEND = "document.querySelector('.legend').innerText"
STUB = """(() => {
    const ask = window.fetch;
    window.fetch = async (path, options) => {
        if (String(path).startsWith('api/v1/explain')) return Response.json(ANSWER, {status: STATUS});
        if (!String(path).startsWith('openapi.json')) return ask(path, options);
        const document = await (await ask(path, options)).json();
        if (STATUS === 404) delete document.paths['/api/v1/explain'];
        return Response.json(document);
    };
})()"""
"""A fetch whose server explains in a known way, or with 404 not at all."""


@contextlib.contextmanager
def explaining(tab: Page, answer: dict[str, Any], status: int = 200) -> Iterator[None]:
    source = STUB.replace("ANSWER", json.dumps(answer)).replace("STATUS", str(status))
    stub = tab.send("Page.addScriptToEvaluateOnNewDocument", source=source)["identifier"]
    try:
        yield
    finally:
        tab.send("Page.removeScriptToEvaluateOnNewDocument", identifier=stub)


def _ask_why(visitor: Visitor, picture: Path) -> None:
    visitor.come()
    visitor.choose(picture)
    visitor.cards(1)
    visitor.page.evaluate(PRESS)


def test_why(tab: Page, models_dir: Path, picture: Path) -> None:
    """Why? asks about the version that answered and lays the server's own explanation over the picture, in words too;
    pressed again it takes it away."""
    picture.write_bytes(encode("PNG", scene() // 20))  # so dark that the tiny network is not sure
    with visited(tab, models_dir) as (visitor, server):
        _ask_why(visitor, picture)
        visitor.page.wait_for("document.querySelector('.heat')")
        assert ("button", "Why? rose.png") in visitor.page.accessible()
        url = f"{server.http_url}/api/v1/explain?model=flowers&version=1"
        assert [one for one in tab.requests if "explain" in one] == [url]
        told = httpx.post(url, content=picture.read_bytes()).raise_for_status().json()
        assert visitor.page.evaluate("document.querySelector('.heat').src").endswith(f",{told['heat_png']}")
        box = "JSON.stringify(document.querySelector('{}').getBoundingClientRect())"
        assert visitor.page.evaluate(f"{box.format('.heat')} === {box.format('.frame img')}")
        score, fall = told["score"], max(map(max, told["heat"]))
        assert f"The score of {told['class_name']} hangs most on the " in visitor.page.evaluate(LEGEND)
        assert f"it falls from {score * 100:.1f} % to {(score - fall) * 100:.1f} %." in visitor.page.evaluate(LEGEND)
        assert visitor.page.evaluate("document.querySelector('.why button').ariaPressed") == "true"
        visitor.page.evaluate(PRESS)
        assert not visitor.page.evaluate("Boolean(document.querySelector('.heat'))")
        assert visitor.page.evaluate("document.querySelector('.why button').ariaPressed") == "false"


def test_the_legend(tab: Page, models_dir: Path, picture: Path) -> None:
    """Its words say where the greatest heat is and its colours are those of the picture, from the least to the most."""
    heat = np.zeros((3, 4))
    heat[0, 3], heat[2, 0] = 0.4, -0.2
    pixels = np.zeros((24, 32, 4), np.uint8)
    pixels[:8, 24:] = (200, 0, 0, 180)
    pixels[16:, :8] = (0, 0, 255, 90)
    png = base64.b64encode(encode("PNG", pixels)).decode()
    answer = {"class_name": "rose", "score": 0.9, "heat_png": png, "heat": heat.tolist()}
    with explaining(tab, answer), visited(tab, models_dir) as (visitor, _):
        _ask_why(visitor, picture)
        visitor.page.wait_for("document.querySelector('.heat')")
        words = visitor.page.evaluate(LEGEND)
        assert "The score of rose hangs most on the upper right of the image" in words
        assert "it falls from 90.0 % to 50.0 %." in words
        assert "speaks against it" in words
        scale = visitor.page.evaluate("getComputedStyle(document.querySelector('.scale')).backgroundImage")
        blue, *between, red = re.findall(r"rgba\([^)]+\)", scale)
        assert (blue, red) == ("rgba(0, 0, 255, 0.353)", "rgba(200, 0, 0, 0.706)")
        assert "rgba(0, 0, 0, 0)" in between


def test_nothing_speaks_for_it(tab: Page, models_dir: Path, picture: Path) -> None:
    """Where covering lowers the score nowhere no place is named."""
    png = base64.b64encode(encode("PNG", np.zeros((24, 32, 4), np.uint8))).decode()
    answer = {"class_name": "rose", "score": 0.9, "heat_png": png, "heat": [[0, -0.1], [0, 0]]}
    with explaining(tab, answer), visited(tab, models_dir) as (visitor, _):
        _ask_why(visitor, picture)
        visitor.page.wait_for(f"{LEGEND}.includes('hangs on no single part of the image')")


def test_what_cannot_be_explained(tab: Page, models_dir: Path, picture: Path) -> None:
    """A refusal is told in the server's words, and asking again is one press."""
    problem = {"kind": "overloaded", "detail": "4 explanations are under way or wait"}
    with explaining(tab, problem, 429), visited(tab, models_dir) as (visitor, _):
        _ask_why(visitor, picture)
        visitor.page.wait_for(f"{LEGEND} === '4 explanations are under way or wait'")
        assert visitor.page.evaluate("document.querySelector('.why button').ariaPressed") == "false"
        assert not visitor.page.evaluate("document.querySelector('.why button').disabled")


def test_no_why_where_nothing_explains(tab: Page, models_dir: Path, picture: Path) -> None:
    """A server whose description has no explanations shows no button for them."""
    with explaining(tab, {}, 404), visited(tab, models_dir) as (visitor, _):
        visitor.come()
        visitor.choose(picture)
        assert visitor.cards(1)[0]["state"] == "answered"
        assert not visitor.page.evaluate("Boolean(document.querySelector('.why'))")
