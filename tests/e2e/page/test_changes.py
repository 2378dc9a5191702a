"""The page at / while its server changes, refuses, or is gone."""

import contextlib
import re
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.browser import Page
from tests.bundles import write_bundle
from tests.e2e.page.visitor import Visitor, visited
from tests.e2e.server import Server, serving
from tests.encoded import encode

pytestmark = pytest.mark.slow

WATCH = """(() => {
    window.seen = [];
    const look = () => window.seen.push(...byId('cards').innerText.match(/The server asks to wait.*/g) ?? []);
    new MutationObserver(look).observe(byId('cards'), {childList: true, subtree: true});
})()"""
"""Remembers what a card says only for a second."""
RETRIES = "[...document.querySelectorAll('.card button')].filter(one => one.innerText.startsWith('Try again'))"


def test_a_version_swap(tab: Page, models_dir: Path, picture: Path) -> None:
    """A new version shows itself and answers; a chosen one that is let go gives way to the default, with a word."""
    with visited(tab, models_dir, "--probation-seconds", 4) as (visitor, _):
        visitor.come()
        visitor.choose(picture)
        assert "flowers version 1" in visitor.cards(1)[0]["text"]
        write_bundle(models_dir, seed=1)
        visitor.page.wait_for("byId('notice').innerText === 'Version 2 of flowers is the default now, no longer 1.'")
        assert visitor.page.evaluate("byId('version').selectedOptions[0].text") == "Default (2)"
        visitor.select("version", "1")
        visitor.choose(picture)
        assert "flowers version 1" in visitor.cards(2)[0]["text"]
        shutil.rmtree(models_dir / "flowers" / "1")
        visitor.page.wait_for("byId('notice').innerText.includes('the default version is chosen')")
        visitor.choose(picture)
        assert "flowers version 2" in visitor.cards(3)[0]["text"]


def test_large_version_numbers(tab: Page, models_dir: Path, picture: Path) -> None:
    """Versions that JavaScript's numbers cannot hold are asked for as they are."""
    version = "9007199254740993"
    shutil.move(models_dir / "flowers" / "1", models_dir / "flowers" / version)
    manifest = models_dir / "flowers" / version / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"version": 1,', f'"version": {version},', 1))
    with visited(tab, models_dir) as (visitor, _):
        visitor.come()
        visitor.select("version", version)
        visitor.choose(picture)
        assert f"flowers version {version}" in visitor.cards(1)[0]["text"]


def test_an_overloaded_server(tab: Page, models_dir: Path, picture: Path) -> None:
    """A refused image says so in the server's words and when to come again; it is answered when it is tried again."""
    with visited(tab, models_dir, "--queue-limit", 1) as (visitor, server):
        visitor.come()
        visitor.page.evaluate(WATCH)
        with _kept_busy(server):
            visitor.choose(picture, picture)
            cards = visitor.cards(2)
        assert [card["state"] for card in cards] == ["failed"] * 2
        assert all("the limit is 1 (queue_limit)" in card["text"] for card in cards)
        assert re.fullmatch(r"The server asks to wait for \d+ s more\.", visitor.page.evaluate("window.seen[0]"))
        visitor.page.wait_for("document.body.innerText.split('It can be tried again now.').length === 3")
        visitor.page.evaluate(f"{RETRIES}[0].click()")
        visitor.page.wait_for(f"{RETRIES}.length === 1")
        assert visitor.focused() == "results-heading"
        # The second is for when the first is answered: there is room for one alone.
        assert sorted(card["state"] for card in visitor.cards(2)) == ["answered", "failed"]
        visitor.page.evaluate(f"{RETRIES}[0].click()")
        assert [card["state"] for card in visitor.cards(2)] == ["answered"] * 2


def test_all_failed_ones_at_once(tab: Page, models_dir: Path, picture: Path) -> None:
    """One press sends everything again that may pass now, and nothing else."""
    with visited(tab, models_dir, "--queue-limit", 1) as (visitor, server):
        broken = picture.with_name("broken.png")
        broken.write_bytes(b"hello")
        visitor.come()
        visitor.choose(broken)
        visitor.cards(1)
        with _kept_busy(server):
            visitor.choose(picture, picture)
            visitor.cards(3)
        assert visitor.text("tally") == "3 images: 3 failed"
        visitor.page.wait_for("byId('retry-all').checkVisibility()")
        visitor.page.requests.clear()
        visitor.page.evaluate("byId('retry-all').click()")
        visitor.cards(3)
        assert len([url for url in visitor.page.requests if "/classify" in url]) == 2


@contextlib.contextmanager
def _kept_busy(server: Server) -> Iterator[None]:
    """Two callers compete for its only place with images that take it about a second each."""
    large = encode("PNG", np.zeros((6000, 8000, 3), np.uint8), compress_level=1)
    has_ended = threading.Event()

    def call() -> None:
        while not has_ended.is_set():
            httpx.post(f"{server.http_url}/api/v1/classify", content=large, timeout=30)

    callers = [threading.Thread(target=call) for _ in range(2)]
    for caller in callers:
        caller.start()
    try:
        while "cnnsvc_images_admitted 1.0" not in httpx.get(f"{server.http_url}/metrics").text:
            time.sleep(0.01)
        yield
    finally:
        has_ended.set()
        for caller in callers:
            caller.join()


def test_a_server_that_is_gone(tab: Page, models_dir: Path, picture: Path) -> None:
    """The page says that its server is gone, and goes on when it is there again."""
    with serving("--models-dir", models_dir) as server:
        visitor = Visitor(tab, server.http_url)
        visitor.come()
    visitor.choose(picture)
    [card] = visitor.cards(1)
    assert "The server cannot be reached." in card["text"]
    visitor.page.wait_for("byId('server-state').innerText.startsWith('The server cannot be reached.')")
    with serving("--models-dir", models_dir, "--http-port", server.http_url.rpartition(":")[2]):
        visitor.page.wait_for("byId('server-state').hidden")
        visitor.page.evaluate(f"{RETRIES}[0].click()")
        assert visitor.cards(1)[0]["state"] == "answered"
        visitor.check_peace()
        tab.open("about:blank")


def test_nothing_to_serve(tab: Page, tmp_path: Path) -> None:
    """Without a model the page says why nothing can be classified, and takes up the first one that comes."""
    (tmp_path / "models").mkdir()
    with (
        serving("--models-dir", tmp_path / "models", until="no model is there to serve") as server,
    ):
        visitor = Visitor(tab, server.http_url)
        visitor.come(until="byId('server-state').innerText.includes('no model is there to serve')")
        write_bundle(tmp_path / "models")
        visitor.page.wait_for("byId('server-state').hidden && byId('model').value === 'flowers'")
        tab.open("about:blank")
