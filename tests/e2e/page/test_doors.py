"""The page at / behind tokens, without metrics, and under its own policy."""

from pathlib import Path

import pytest

from service.access import Scope
from tests.browser import Page
from tests.e2e.page.visitor import Visitor, visited
from tests.tokens import write_tokens

pytestmark = pytest.mark.slow


def test_tokens(tab: Page, models_dir: Path, picture: Path, tmp_path: Path) -> None:
    """Only where a token is wanted is one asked for; wrong ones are refused in the server's words, the right one opens
    the API, stays with the tab alone, and what failed for want of it is sent again."""
    camera = write_tokens(tmp_path, Scope.CLASSIFY, name="camera")
    prometheus = write_tokens(tmp_path, Scope.METRICS, name="prometheus")
    both = write_tokens(tmp_path, Scope.CLASSIFY, Scope.METRICS, name="both")
    enter = "(byId('token').value = '{}', document.querySelector('#token-form button').click())"
    with visited(tab, models_dir, "--tokens-file", camera.tokens_file) as (visitor, _):
        visitor.come(until="byId('token-form').checkVisibility()")
        assert tab.complaints == []
        assert "for which this server wants a token" in visitor.text("live-note")
        assert ("textbox", "Token") in visitor.page.accessible()
        visitor.choose(picture)
        assert "no token came" in visitor.cards(1)[0]["text"]
        for wrong, words in [
            ("guess", "an unknown token came"),
            (prometheus.token, "token prometheus opens metrics; expected one that opens classify"),
            ("blanks in it", "no blanks"),
        ]:
            visitor.page.evaluate(enter.format(wrong))
            visitor.page.wait_for(f"byId('token-why').innerText.includes('{words}')")
        visitor.page.evaluate(enter.format(camera.token))
        visitor.page.wait_for("!byId('token-form').checkVisibility()")
        assert visitor.cards(1)[0]["state"] == "answered"
        assert visitor.focused() == "files"
        visitor.page.wait_for("byId('live-note').innerText.includes('token camera opens classify')")
        assert not visitor.is_shown("charts")
        visitor.come()
        visitor.choose(picture)
        assert visitor.cards(1)[0]["state"] == "answered"
        kept = "[Object.values(sessionStorage), localStorage.length, document.cookie]"
        assert visitor.page.evaluate(kept) == [[camera.token], 0, ""]
        visitor.page.evaluate(f"sessionStorage.setItem('cnnsvc-token', '{both.token}')")
        visitor.come()
        visitor.page.wait_for("byId('charts').checkVisibility()")
        visitor.page.evaluate("sessionStorage.clear()")


def test_metrics_on_another_port(tab: Page, models_dir: Path) -> None:
    """Where the metrics are on a port of their own there are no charts, for which the page asks nobody."""
    with visited(tab, models_dir, "--metrics-port", 0) as (visitor, _):
        visitor.come()
        visitor.page.wait_for("byId('live-note').innerText.includes('--metrics-port')")
        assert not visitor.is_shown("charts")
        assert not [url for url in tab.requests if url.endswith("/metrics")]
        assert tab.complaints == []


def test_its_policy_stops_foreign_script(visitor: Visitor) -> None:
    """Had the page a hole, text would still become no element and nobody outside be asked: the browser stops it."""
    visitor.come()
    markup = "document.body.innerHTML = '<img src=x onerror=window.hacked=1>'"
    visitor.page.evaluate(f"(() => {{ try {{ {markup} }} catch {{ window.stopped = 1 }} }})()")
    asked = "fetch('http://127.0.0.2:9/').then(() => 'sent', () => 'stopped')"
    assert visitor.page.evaluate(asked) == "stopped"
    assert visitor.page.evaluate("[window.stopped, window.hacked]") == [1, None]
    assert any("connect-src" in one for one in visitor.page.complaints)
    visitor.page.complaints.clear()
    visitor.page.requests.clear()
