"""Images come to the page at / and are answered as the API answers."""

import base64
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.browser import Page
from tests.bundles import threshold_between, write_bundle
from tests.e2e.page.visitor import Visitor, visited
from tests.e2e.server import Server
from tests.encoded import encode

pytestmark = pytest.mark.slow


def _answer(server: Server, image: bytes, **query: str) -> list[list[str]]:
    """What the API says, with scores as the page writes them."""
    response = httpx.post(f"{server.http_url}/api/v1/classify", content=image, params=query).raise_for_status()
    classes = response.json()["results"][0]["classes"]
    return [[one["name"], f"{one['score'] * 100:.1f} %"] for one in classes]


def test_chosen_images(visitor: Visitor, server: Server, pictures: list[Path]) -> None:
    """Each of several images becomes a card with the API's own answer, model, version and times, in their order."""
    visitor.come()
    visitor.select("model", "flowers")
    visitor.choose(*pictures)
    cards = visitor.cards(4)
    assert [card["name"] for card in cards] == [file.name for file in pictures]
    for card, file in zip(cards, pictures, strict=True):
        assert card["classes"] == _answer(server, file.read_bytes(), model="flowers")
        assert len(card["classes"]) == 5
        assert "flowers version 1" in card["text"]
        assert all(stage in card["text"] for stage in ("Decode", "Queue", "Inference", "Server total", "Round trip"))
    assert visitor.text("tally") == "4 images: 4 answered"
    visitor.page.wait_for("byId('spoken').textContent === '4 images: 4 answered'")
    assert visitor.page.evaluate("[...document.querySelectorAll('.frame img')].every(one => one.naturalWidth > 0)")


def test_dropped_images(visitor: Visitor, server: Server, pictures: list[Path]) -> None:
    """Files dropped anywhere on the page are classified; the newest come first."""
    visitor.come()
    visitor.select("model", "flowers")
    visitor.page.drop_files(pictures[:1], 700, 40)
    visitor.cards(1)
    visitor.page.drop_files(pictures[1:3], 300, 350)
    cards = visitor.cards(3)
    assert [card["name"] for card in cards] == ["two.png", "three.webp", "one.jpg"]
    assert cards[0]["classes"] == _answer(server, pictures[1].read_bytes(), model="flowers")


def test_a_pasted_image(visitor: Visitor, server: Server) -> None:
    """The image in the clipboard is classified by the keys that paste; pasted text is nobody's business."""
    image = base64.b64encode(encode("PNG", seed=5)).decode()
    visitor.come()
    visitor.select("model", "flowers")
    permissions = ["clipboardReadWrite", "clipboardSanitizedWrite"]
    visitor.page.send("Browser.grantPermissions", origin=visitor.http_url, permissions=permissions)
    visitor.page.send("Emulation.setFocusEmulationEnabled", enabled=True)
    visitor.page.evaluate("navigator.clipboard.writeText('not an image')")
    visitor.page.press("v", "paste", modifiers=2)
    bytes_of = f"Uint8Array.from(atob('{image}'), one => one.charCodeAt(0))"
    item = f"new ClipboardItem({{'image/png': new Blob([{bytes_of}], {{type: 'image/png'}})}})"
    visitor.page.evaluate(f"navigator.clipboard.write([{item}])")
    visitor.page.press("v", "paste", modifiers=2)
    [card] = visitor.cards(1)
    assert card["classes"] == _answer(server, encode("PNG", seed=5), model="flowers")


def test_nothing_dropped(visitor: Visitor) -> None:
    """Something without a file is answered with what to do."""
    visitor.come()
    data = {"items": [{"mimeType": "text/plain", "data": "text"}], "dragOperationsMask": 1}
    for step in ("dragEnter", "dragOver", "drop"):
        visitor.page.send("Input.dispatchDragEvent", type=step, x=300, y=300, data=data)
    visitor.page.wait_for("byId('notice').innerText.includes('no file')")
    assert not visitor.is_shown("results")


def test_bad_files(visitor: Visitor, pictures: list[Path], tmp_path: Path) -> None:
    """A broken file, one that is too large, and a folder: each card says why, the others are answered."""
    broken, large, folder = tmp_path / "broken.jpg", tmp_path / "large.png", tmp_path / "folder"
    broken.write_bytes(b"hello")
    noise = np.random.default_rng(0).integers(0, 256, (900, 1000, 3), dtype=np.uint8)
    large.write_bytes(encode("PNG", noise))
    folder.mkdir()
    visitor.come()
    visitor.choose(broken, large, pictures[0])
    visitor.page.drop_files([folder], 300, 300)
    unreadable, not_image, too_large, good = visitor.cards(4)
    assert "cannot be read" in unreadable["text"]
    assert "not an image: 5 bytes beginning" in not_image["text"]
    assert "the limit is 2000000" in too_large["text"] or "2000000" in too_large["text"]
    assert [card["state"] for card in (unreadable, not_image, too_large, good)] == [*["failed"] * 3, "answered"]
    assert not any("Try again" in card["text"] for card in (unreadable, not_image, too_large))
    visitor.page.wait_for("byId('spoken').textContent.length > 0")


def test_names_are_no_markup(visitor: Visitor, pictures: list[Path]) -> None:
    """Names of files and classes are shown as they are, whatever they look like."""
    visitor.come()
    visitor.select("model", "flowers")
    visitor.choose(*pictures)
    assert visitor.cards(4)[3]["name"] == "<i>four<-i>.gif"
    assert visitor.page.evaluate("document.querySelectorAll('.card i, .card b').length") == 0


def test_another_model(visitor: Visitor, server: Server, pictures: list[Path]) -> None:
    """The chosen model answers."""
    visitor.come()
    visitor.select("model", "trees")
    visitor.choose(pictures[0])
    [card] = visitor.cards(1)
    assert card["classes"] == _answer(server, pictures[0].read_bytes(), model="trees")
    assert "trees version 1" in card["text"]
    assert "2 classes, 32 × 24 pixels" in visitor.text("about")


def test_many_images_a_few_at_a_time(visitor: Visitor, tmp_path: Path) -> None:
    """Of thirty images all are answered, never more than four are under way, and one press of Clear lets go of all."""
    files = []
    for seed in range(30):
        files.append(tmp_path / f"{seed}.png")
        files[-1].write_bytes(encode("PNG", seed=seed))
    visitor.come()
    visitor.page.evaluate("""(() => {
        const ask = window.fetch; window.most = 0; let now = 0;
        window.fetch = async (path, options) => {
            if (!String(path).includes('classify')) return ask(path, options);
            window.most = Math.max(window.most, ++now);
            try { return await ask(path, options) } finally { now-- }
        } })()""")
    visitor.choose(*files)
    assert {card["state"] for card in visitor.cards(30)} == {"answered"}
    assert 2 <= visitor.page.evaluate("window.most") <= 4
    visitor.page.evaluate("byId('clear').click()")
    assert not visitor.is_shown("results")
    assert visitor.focused() == "files"


def test_none_of_the_classes(tab: Page, tmp_path: Path, pictures: list[Path]) -> None:
    """A card says that none of the classes fits, still shows them, and speaks the closest one; another one does not."""
    threshold = threshold_between(write_bundle(tmp_path / "without"), [file.read_bytes() for file in pictures])
    write_bundle(tmp_path / "models", threshold=threshold)
    with visited(tab, tmp_path / "models") as (visitor, server):
        url = f"{server.http_url}/api/v1/classify"
        results = [httpx.post(url, content=file.read_bytes()).json()["results"][0] for file in pictures]
        rejected = [result["rejected"] for result in results]
        assert set(rejected) == {False, True}
        visitor.come()
        visitor.choose(*pictures)
        cards = visitor.cards(len(pictures))
        assert ["None of these classes fits." in card["text"] for card in cards] == rejected
        assert [[name for name, _ in card["classes"]] for card in cards] == [
            [one["name"] for one in result["classes"]] for result in results
        ]
        visitor.come()
        place = rejected.index(True)
        visitor.choose(pictures[place])
        closest = results[place]["classes"][0]["name"]
        visitor.page.wait_for(f"byId('spoken').textContent.includes('none of these classes; closest is {closest},')")
