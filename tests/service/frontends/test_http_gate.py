"""Nothing of the HTTP front-end answers without permission."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry
from starlette.routing import Route

from service.access import Access, Scope, Token, hash_of
from service.frontends.http_admin import AdminDoor
from service.frontends.http_app import build_http_app, build_metrics_app, http_routes
from service.frontends.http_call import CallLimits
from service.frontends.http_gate import scope_of
from service.frontends.openapi import openapi_document
from service.metrics import Metrics
from tests.bundles import manifest_of
from tests.encoded import encode
from tests.fakes import FakePredictor, FakeRegistry, served_model
from tests.service.serving import build

TOKENS = [Token(str(scope), [scope], hash_of(f"for-{scope}")) for scope in Scope]
OPEN = {"/", "/page/{asset}", "/docs", "/docs/{asset}", "/livez", "/readyz", "/openapi.json"}
LIMITS = CallLimits(body_limit_bytes=100_000, max_images_per_call=4, request_timeout_ms=5_000)


class Door:
    def __init__(self, folder: Path, public: frozenset[Scope] = frozenset()) -> None:
        self.prometheus = CollectorRegistry()
        self.metrics = Metrics(self.prometheus, version="test")
        self.registry = FakeRegistry([served_model(manifest_of(), self.metrics)])
        self.access = Access(lambda: TOKENS, public)
        self.admin = AdminDoor(build(folder).admin, self.metrics)
        self.predictor = FakePredictor()
        app = build_http_app(
            self.predictor,
            self.registry,
            self.metrics,
            LIMITS,
            access=self.access,
            admin=self.admin,
        )
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://cnnsvc")

    def routes(self) -> list[Route]:
        return http_routes(self.predictor, self.registry, self.metrics, LIMITS, self.access, self.admin)

    async def ask(self, method: str, path: str, scope: Scope | None = None) -> httpx.Response:
        headers = {} if scope is None else {"authorization": f"Bearer for-{scope}"}
        return await self.client.request(method, path, headers=headers)

    def num_refused(self, code: str) -> float:
        labels = {"protocol": "http", "method": "authorize", "model": "", "version": "", "code": code}
        return self.prometheus.get_sample_value("cnnsvc_request_duration_seconds_count", labels) or 0.0


@pytest_asyncio.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    opened = Door(tmp_path)
    yield opened
    await opened.client.aclose()


async def test_every_route_but_the_open_ones_wants_a_token(door: Door) -> None:
    """Each route with each method: 401 without a token, 403 with those of all other scopes, past it with its own."""
    num_asked = 0
    for route in door.routes():
        path = route.path.format(
            name="flowers",
            version="1",
            label="stable",
            asset="app.js" if route.path.startswith("/page/") else "docs.js",
        )
        for method in route.methods or ():
            if route.path in OPEN:
                assert (await door.ask(method, path)).status_code < 400
                continue
            needed = scope_of(path)
            assert needed is not None
            refused = await door.ask(method, path)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer"), (method, path)
            for scope in set(Scope) - {needed}:
                assert (await door.ask(method, path, scope)).status_code == 403, (method, path, scope)
            assert (await door.ask(method, path, needed)).status_code not in (401, 403), (method, path)
            num_asked += 1
    assert num_asked > 15
    assert (door.num_refused("unauthenticated"), door.num_refused("forbidden")) == (num_asked, 2 * num_asked)


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/nothing",
        "/metrics%0A",
        "/api/v1/models%0A",
        "/livez%0A",
        "/metrics%00",
        "//livez",
        "/livez/",
        "/livez/../metrics",
        "/docs/../api/v1/models",
        "/page/../api/v1/models",
        "/docs/%2e%2e/metrics",
        "/metrics/",
        "/Metrics",
        "/v1/models/flowers",
        "/v2/nothing",
        "/api/v1/admin",
        "/api/v1/adminx",
    ],
)
async def test_what_is_no_route_opens_nothing(door: Door, path: str) -> None:
    """Whether there is something at a path is not told without a token; the open folder is no way around."""
    response = await door.client.get(httpx.URL("http://cnnsvc", raw_path=path.encode()))
    assert response.status_code in (401, 404), response.text
    found = response.json()
    assert found.get("kind") in ("unauthenticated", "not_found") or "token" in found["error"]


async def test_no_body_is_read_for_nobody(door: Door) -> None:
    """An image without a token, or with two, is refused before the model hears of it."""
    own = ("authorization", "Bearer for-classify")
    for headers in ([], [own, own], [("authorization", "Bearer for-classify,")]):
        response = await door.client.post("/api/v1/classify", content=encode("PNG"), headers=headers)
        assert response.status_code == 401
    assert door.predictor.queries == []
    response = await door.client.post("/api/v1/classify", content=encode("PNG"), headers=[own])
    assert response.status_code == 200


async def test_a_public_scope(tmp_path: Path) -> None:
    """Where classification is for everybody the admin API is not, and the document says which is which."""
    door = Door(tmp_path, frozenset({Scope.CLASSIFY}))
    async with door.client:
        assert (await door.ask("GET", "/api/v1/models")).status_code == 200
        assert (await door.ask("GET", "/metrics")).status_code == 401
        assert (await door.ask("GET", "/api/v1/admin/models")).status_code == 401
        paths = (await door.ask("GET", "/openapi.json")).json()["paths"]
    assert "security" not in paths["/api/v1/classify"]["post"]
    assert paths["/metrics"]["get"]["security"] == [{"token": []}]
    assert {"401", "403"} <= set(paths["/api/v1/admin/models"]["get"]["responses"])


def test_without_tokens_the_document_has_none() -> None:
    """Nobody is asked for what nobody needs."""
    document = openapi_document(LIMITS)
    assert "securitySchemes" not in document["components"]
    assert not any("security" in one for path in document["paths"].values() for one in path.values())


async def test_metrics_on_a_door_of_their_own(tmp_path: Path) -> None:
    """There the probes are open, the metrics want their token, and there is nothing else."""
    door = Door(tmp_path)
    transport = httpx.ASGITransport(build_metrics_app(door.registry, door.metrics, door.access))
    async with httpx.AsyncClient(transport=transport, base_url="http://cnnsvc") as client:
        assert [(await client.get(path)).status_code for path in ("/livez", "/readyz", "/metrics")] == [200, 200, 401]
        allowed = await client.get("/metrics", headers={"authorization": "Bearer for-metrics"})
        assert (allowed.status_code, "cnnsvc_ready" in allowed.text) == (200, True)
        own = {"authorization": "Bearer for-classify"}
        assert (await client.get("/api/v1/models", headers=own)).status_code == 404


async def test_a_line_feed_opens_nothing(tmp_path: Path) -> None:
    """The router takes it for the end of a path, and the gate must not take that for another, public one."""
    door = Door(tmp_path, frozenset({Scope.CLASSIFY}))
    transport = httpx.ASGITransport(build_metrics_app(door.registry, door.metrics, door.access))
    async with httpx.AsyncClient(transport=transport, base_url="http://cnnsvc") as client, door.client:
        for asked in (client, door.client):
            url = httpx.URL("http://cnnsvc", raw_path=b"/metrics%0A")
            assert (await asked.get(url)).status_code == 404


async def test_headers_for_browsers(door: Door) -> None:
    """Answers, refusals and pages say what a browser may make of them; nothing invites another site's script."""
    for method, path in [("GET", "/livez"), ("GET", "/api/v1/models"), ("GET", "/docs"), ("OPTIONS", "/api/v1/models")]:
        response = await door.client.request(method, path, headers={"origin": "https://elsewhere.example"})
        assert response.headers.get_list("x-content-type-options") == ["nosniff"]
        assert len(response.headers.get_list("content-security-policy")) == 1
        assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
        assert response.headers["referrer-policy"] == "no-referrer"
        assert not [name for name in response.headers if name.startswith("access-control")]
    assert (await door.client.get("/livez")).headers["cache-control"] == "no-store"
