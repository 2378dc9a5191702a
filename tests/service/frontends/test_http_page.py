import re
from pathlib import Path

import pytest

from service.frontends import http_page
from tests.service.frontends.http_door import open_door

FOLDER = Path(http_page.__file__).parents[1] / "web" / "page"
_REFERENCES = re.compile(r'(?:src|href)="(page/[^"]+)"')
_IMPORTS = re.compile(r'^import .* from "\./([^"]+)";$', re.MULTILINE)


async def test_the_page_and_its_files() -> None:
    """Everything that the page and its scripts refer to is served, with the type that browsers insist on."""
    types = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    async with open_door().client() as client:
        home = await client.get("/")
        assert home.headers["content-type"].startswith("text/html")
        wanted = set(_REFERENCES.findall(home.text))
        seen: set[str] = set()
        while wanted - seen:
            reference = min(wanted - seen)
            seen.add(reference)
            response = await client.get(f"/{reference}")
            assert response.status_code == 200, reference
            assert response.headers["content-type"].partition(";")[0] == types[Path(reference).suffix]
            assert response.headers["cache-control"] == "no-cache"
            if reference.endswith(".js"):
                wanted |= {f"page/{name}" for name in _IMPORTS.findall(response.text)}
    assert {Path(reference).name for reference in seen} == {file.name for file in FOLDER.iterdir()} - {"index.html"}


async def test_its_policy() -> None:
    """Only what this server itself sends may run or be shown, without exceptions for what is written in place."""
    async with open_door().client() as client:
        for path in ("/", "/page/app.js"):
            policy = (await client.get(path)).headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
            assert "unsafe" not in policy
            assert "http" not in policy


@pytest.mark.parametrize("file", sorted(FOLDER.iterdir()), ids=lambda file: file.name)
def test_its_files_name_nobody(file: Path) -> None:
    """No file of the page has an address of another host, nor a script or a style in place."""
    text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|[\"'(]//", text)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|localStorage", text)
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", text)


@pytest.mark.parametrize("path", ["/page/index.html", "/page/", "/page/nothing.js", "/page/..%2Fdocs.html"])
async def test_what_it_has_not(path: str) -> None:
    """Nothing but the files of the page comes from its folder."""
    async with open_door().client() as client:
        response = await client.get(path)
    assert response.status_code == 404
    assert response.json()["kind"] == "not_found"
