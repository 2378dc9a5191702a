"""The admin API: nobody without the token, and every decision over HTTP."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from openapi_spec_validator import OpenAPIV30SpecValidator
from prometheus_client import CollectorRegistry

from service.access import Access, Scope, Token, hash_of
from service.frontends.http_admin import ADMIN_PATH, AdminDoor
from service.frontends.http_app import build_http_app, http_routes
from service.frontends.http_call import CallLimits
from service.frontends.openapi import openapi_document
from service.metrics import Metrics
from tests.bundles import write_bundle
from tests.fakes import FakePredictor, FakeRegistry
from tests.service.frontends.test_openapi import check_against
from tests.service.serving import Serving, build, started

TOKEN = "0123456789abcdef"
TOKENS = [Token("operator", [Scope.ADMIN], hash_of(TOKEN))]
ACCESS = Access(lambda: TOKENS)
LIMITS = CallLimits(body_limit_bytes=1 << 20, max_images_per_call=8, request_timeout_ms=1000)
CALLS = [
    ("GET", ""),
    ("GET", "/flowers"),
    ("POST", "/flowers/versions/1/load"),
    ("POST", "/flowers/versions/1/unload"),
    ("PUT", "/flowers/labels/stable"),
    ("DELETE", "/flowers/labels/stable"),
    ("PUT", "/flowers/split"),
    ("POST", "/flowers/rollback"),
]


@dataclass
class Door:
    serving: Serving
    client: httpx.AsyncClient

    async def call(self, method: str, path: str, status: int = 200, body: Any = None) -> Any:
        """The answer, of this status and as the document describes it."""
        response = await self.client.request(
            method, ADMIN_PATH + path, json=body, headers={"authorization": f"Bearer {TOKEN}"}
        )
        assert response.status_code == status, response.text
        pattern = next(known for known in _paths() if _fits(known, ADMIN_PATH + path))
        check_against(openapi_document(LIMITS, ACCESS, has_admin=True), pattern, method.lower(), response)
        return response.json()


@pytest_asyncio.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    for seed in range(2):
        write_bundle(tmp_path, seed=seed)
    serving = await started(tmp_path)
    metrics = Metrics(CollectorRegistry(), version="test")
    app = build_http_app(
        FakePredictor(),
        serving.registry,
        metrics,
        LIMITS,
        access=ACCESS,
        admin=AdminDoor(serving.admin, metrics),
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://cnnsvc") as client:
        yield Door(serving, client)
    await serving.close()


def _paths() -> list[str]:
    return list(openapi_document(LIMITS, ACCESS, has_admin=True)["paths"])


def _fits(pattern: str, path: str) -> bool:
    parts, found = pattern.split("/"), path.split("/")
    return len(parts) == len(found) and all(
        part.startswith("{") or part == other for part, other in zip(parts, found, strict=True)
    )


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", f"Basic {TOKEN}", "Bearer 0123456789abcdeX", f"Bearer {TOKEN}x", "Bearer \xe9"],
)
async def test_nobody_without_the_token(door: Door, method: str, path: str, authorization: str | None) -> None:
    """Every route asks for the token before all else, and says how it is to be shown; nothing changes."""
    headers = {} if authorization is None else {"authorization": authorization.encode("latin-1")}
    response = await door.client.request(method, ADMIN_PATH + path, headers=headers)  # type: ignore[arg-type]  # bytes go
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    assert response.json()["kind"] == "unauthenticated"
    assert TOKEN not in response.text
    assert door.serving.served() == [2]


async def test_the_routes_are_described(tmp_path: Path) -> None:
    """Each route with its methods is in the document, which is valid; without tokens neither is there."""
    document = openapi_document(LIMITS, ACCESS, has_admin=True)
    OpenAPIV30SpecValidator(document).validate()
    metrics = Metrics(CollectorRegistry(), version="test")
    admin = AdminDoor(build(tmp_path).admin, metrics)
    built = {
        (route.path, method)
        for route in http_routes(FakePredictor(), FakeRegistry(), metrics, LIMITS, ACCESS, admin)
        if route.path.startswith(ADMIN_PATH)
        for method in (route.methods or set()) - {"HEAD"}
    }
    described = {
        (path, method.upper())
        for path, item in document["paths"].items()
        if path.startswith(ADMIN_PATH)
        for method in item
    }
    assert built == described
    assert not any("admin" in path for path in openapi_document(LIMITS)["paths"])


async def test_an_operators_day(door: Door) -> None:
    """List, load, label, split, roll back, unload: each answers with how the model is now."""
    (model,) = (await door.call("GET", ""))["models"]
    assert [version["state"] for version in model["versions"]] == ["serving", "available"]
    await door.call("POST", "/flowers/versions/1/load")
    await door.call("PUT", "/flowers/labels/stable", body={"version": 1})
    await door.call("PUT", "/flowers/labels/canary", body={"version": 2})
    split = await door.call("PUT", "/flowers/split", body={"weights": {"stable": 9, "canary": 1}})
    assert split["split"] == {"stable": 9, "canary": 1}
    await door.call("PUT", "/flowers/split", body={"weights": {}})
    assert (await door.call("DELETE", "/flowers/labels/stable"))["labels"] == {"canary": 2}
    back = await door.call("POST", "/flowers/rollback")
    assert [(one["version"], one["is_default"], one["state"]) for one in back["versions"]] == [
        (2, False, "withdrawn"),
        (1, True, "serving"),
    ]
    assert back["versions"][0]["fault"] == "withdrawn"
    assert (await door.call("GET", "/flowers"))["labels"] == {"canary": 1}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/trees", None, 404),
        ("POST", "/flowers/versions/9/load", None, 404),
        ("POST", "/flowers/versions/x/load", None, 400),
        ("POST", "/flowers/versions/2/unload", None, 409),
        ("PUT", "/flowers/labels/stable", {"version": 1}, 409),
        ("PUT", "/flowers/labels/stable", {}, 400),
        ("PUT", "/flowers/labels/7", {"version": 2}, 400),
        ("DELETE", "/flowers/labels/stable", None, 404),
        ("PUT", "/flowers/split", {"weights": {"stable": 1}}, 400),
        ("PUT", "/flowers/split", {"weights": {"stable": "x"}}, 400),
        ("POST", "/flowers/rollback", {"version": 9}, 404),
        ("POST", "/flowers/rollback", {"to": 1}, 400),
    ],
)
async def test_what_is_refused(door: Door, method: str, path: str, body: Any, status: int) -> None:
    """A problem document of the right status, and nothing has changed."""
    before = door.serving.admin.show("flowers")
    await door.call(method, path, status, body)
    assert door.serving.admin.show("flowers").labels == before.labels
    assert door.serving.served() == [2]


async def test_a_body_of_any_size(door: Door) -> None:
    """Too large a body is refused as that."""
    await door.call("PUT", "/flowers/labels/stable", 413, {"version": 1, "x": "x" * 70_000})
