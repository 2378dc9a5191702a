"""The page at / for those who use the keyboard alone, a screen reader, or need contrast."""

import itertools
from pathlib import Path

import pytest

from tests.e2e.page.visitor import Visitor

pytestmark = pytest.mark.slow


def test_the_keyboard_alone(visitor: Visitor, pictures: list[Path]) -> None:
    """Every control is reached with Tab in the order of the page, shows where it is, and obeys its keys."""
    visitor.come()
    reached = []
    for _ in range(4):
        visitor.page.press("Tab")
        reached.append(visitor.focused())
        outline = "getComputedStyle(document.activeElement.closest('label') ?? document.activeElement).outlineStyle"
        assert visitor.page.evaluate(outline) == "solid", reached
    assert reached == ["HTTP API", "model", "version", "files"]
    visitor.come()
    visitor.tab_to("model")
    names = visitor.page.evaluate("[...byId('model').options].map(one => one.value)")
    assert visitor.page.evaluate("byId('model').value") == names[0]
    visitor.page.press(names[1][0])
    visitor.page.wait_for(f"byId('model').value === '{names[1]}'")
    visitor.tab_to("files")
    visitor.page.send("Page.setInterceptFileChooserDialog", enabled=True)
    visitor.page.press("Enter")
    visitor.choose(pictures[0])
    [card] = visitor.cards(1)
    assert f"{names[1]} version 1" in card["text"]
    visitor.tab_to("clear")
    visitor.page.press("Enter")
    visitor.page.wait_for("byId('results').hidden")
    visitor.page.send("Page.setInterceptFileChooserDialog", enabled=False)


def test_names_for_screen_readers(visitor: Visitor, pictures: list[Path]) -> None:
    """Controls, charts and cards have a name each, buttons of different cards different ones; headings are in order."""
    visitor.come()
    visitor.choose(*pictures)
    visitor.cards(4)
    heard = visitor.page.accessible()
    named = {"button", "link", "textbox", "combobox", "image", "article", "region", "heading"}
    assert [role for role, name in heard if role in named and not name.strip()] == []
    assert {("combobox", "Model"), ("combobox", "Version"), ("article", "one.jpg"), ("region", "Load")} <= set(heard)
    assert ("button", "Choose images") in heard
    charts = [name for role, name in heard if role == "image" and " now; at most " in name]
    assert [name.split(":")[0] for name in charts] == ["Calls a second", "Latency of answers", "Refusals a second"]
    levels = visitor.page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(one => Number(one.tagName[1]))")
    assert levels[0] == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))
    statuses = "document.querySelectorAll('[role=status], [role=alert]').length"
    assert visitor.page.evaluate(statuses) >= 4


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(visitor: Visitor, pictures: list[Path], tmp_path: Path, scheme: str) -> None:
    """Every text has at least 4.5 times the contrast of its ground (WCAG 2, AA), errors and charts included."""
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"hello")
    visitor.come(scheme=scheme)
    visitor.choose(*pictures, broken)
    visitor.cards(5)
    visitor.page.evaluate("['notice', 'server-state', 'token-form'].forEach(id => { byId(id).hidden = false })")
    visitor.page.evaluate("byId('notice').textContent = byId('server-state').textContent = 'Words'")
    contrasts = visitor.page.evaluate(CONTRASTS)
    assert len(contrasts) > 60
    assert [one for one in contrasts if one[0] < 4.5] == []


CONTRASTS = """(() => {
    const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = (colour) => {
        const [r, g, b] = channels(colour).map(one => one / 255)
            .map(one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (element) => {
        for (let one = element; one; one = one.parentElement) {
            const colour = getComputedStyle(one).backgroundColor;
            if ((channels(colour)[3] ?? 1) === 1) return colour;
        }
        return 'rgb(255, 255, 255)';
    };
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest('noscript')) continue;
        const pair = [light(getComputedStyle(element).color), light(ground(element))].sort((a, b) => b - a);
        found.push([(pair[0] + 0.05) / (pair[1] + 0.05), walker.currentNode.data.trim()]);
    }
    return found;
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 800, 1280])
def test_it_fits(visitor: Visitor, pictures: list[Path], tmp_path: Path, width: int, scheme: str) -> None:
    """Empty, with answers and with errors of long words nothing is wider than the window, from a phone to a desk."""
    broken = tmp_path / f"{'a-long-name' * 12}.jpg"
    broken.write_bytes(b"hello")
    fits = "document.documentElement.scrollWidth <= innerWidth"
    visitor.come(width, scheme)
    assert visitor.page.evaluate(fits)
    visitor.choose(*pictures, broken)
    visitor.cards(5)
    visitor.page.evaluate("byId('token-form').hidden = false")
    assert visitor.page.evaluate(fits)
    shades = visitor.page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert min(shades) > 200 if scheme == "light" else max(shades) < 60


def test_nothing_moves_for_who_wants_no_motion(visitor: Visitor) -> None:
    """With reduced motion there is no transition at all."""
    visitor.come()
    moving = (
        "[...document.querySelectorAll('*')].filter(one => getComputedStyle(one).transitionDuration !== '0s').length"
    )
    assert visitor.page.evaluate(moving) > 0
    visitor.page.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    assert visitor.page.evaluate(moving) == 0
