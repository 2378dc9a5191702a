"""Somebody in front of the page at /: brings images, reads cards, and keeps what was asked and complained about."""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from tests.browser import Page
from tests.e2e.server import Server, serving

_CARDS: Final = """[...document.querySelectorAll('.card')].map(card => ({
    state: card.dataset.state,
    name: card.querySelector('h3').textContent,
    text: card.innerText,
    classes: [...card.querySelectorAll('.scores li')].map(row => [
        row.querySelector('.name').textContent, row.querySelector('.score').textContent]),
}))"""
_REFUSED: Final = re.compile(
    r"the server responded with a status of (400|401|403|413|429)|ERR_(CONNECTION_REFUSED|FILE_NOT_FOUND)"
)
"""What the browser itself writes of answers that a test provokes."""


class Visitor:
    def __init__(self, page: Page, http_url: str) -> None:
        self.page = page
        self.http_url = http_url

    def come(self, width: int = 1280, scheme: str = "light", *, until: str = "!byId('model').disabled") -> None:
        """Opens the page; it has read the list of models unless something else is waited for."""
        self.page.open(f"{self.http_url}/", width=width, scheme=scheme)
        self.page.evaluate("window.byId = (id) => document.getElementById(id)")
        self.page.wait_for(until)

    def choose(self, *files: Path) -> None:
        self.page.choose_files("#files", files)

    def select(self, list_id: str, value: str) -> None:
        self.page.evaluate(f"byId('{list_id}').value = {json.dumps(value)}")
        self.page.evaluate(f"byId('{list_id}').dispatchEvent(new Event('change'))")

    def cards(self, number: int) -> list[dict[str, Any]]:
        """So many cards, none of them waiting any more; the newest first."""
        settled = "[...document.querySelectorAll('.card')].every(card => card.dataset.state !== 'waiting')"
        self.page.wait_for(f"document.querySelectorAll('.card').length === {number} && {settled}")
        found: list[dict[str, Any]] = self.page.evaluate(_CARDS)
        return found

    def text(self, element_id: str) -> str:
        return str(self.page.evaluate(f"byId('{element_id}').innerText"))

    def is_shown(self, element_id: str) -> bool:
        return bool(self.page.evaluate(f"byId('{element_id}').checkVisibility()"))

    def focused(self) -> str:
        """The id of the element that has the keyboard, or its text."""
        return str(self.page.evaluate("document.activeElement.id || document.activeElement.innerText"))

    def tab_to(self, what: str) -> None:
        """Goes on with the Tab key until that element has the keyboard."""
        for _ in range(40):
            self.page.press("Tab")
            if self.focused() == what:
                return
        raise AssertionError(f"the Tab key never comes to {what!r}")

    def check_peace(self) -> None:
        """Nothing was asked of anybody else, and nothing complained about but refusals."""
        own = urlsplit(self.http_url).netloc
        outside = [url for url in self.page.requests if urlsplit(url.removeprefix("blob:")).netloc != own]
        assert outside == []
        complaints = [one for one in self.page.complaints if not _REFUSED.search(one)]
        assert not complaints, complaints


@contextlib.contextmanager
def visited(tab: Page, models_dir: Path, *options: object) -> Iterator[tuple[Visitor, Server]]:
    with serving("--models-dir", models_dir, "--engine", "openvino", *options) as server:
        visitor = Visitor(tab, server.http_url)
        yield visitor, server
        visitor.check_peace()
        tab.open("about:blank")
