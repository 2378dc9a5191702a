import re
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator
from prometheus_client import CollectorRegistry

from cnnsvc.errors import Kind, OverloadedError
from service.frontends.http_app import http_routes
from service.frontends.http_call import CallLimits
from service.frontends.openapi import openapi_document
from service.metrics import Metrics
from tests.fakes import FakePredictor, FakeRegistry
from tests.service.frontends.http_door import open_door

LIMITS = CallLimits(body_limit_bytes=1 << 20, max_images_per_call=8, request_timeout_ms=1000)


async def served_document() -> dict[str, Any]:
    async with open_door().client() as client:
        document: dict[str, Any] = (await client.get("/openapi.json")).json()
    return document


async def test_the_document_is_valid() -> None:
    """The served document obeys the OpenAPI 3.0 specification."""
    OpenAPIV30SpecValidator(await served_document()).validate()


async def test_the_shown_version_is_one_that_the_shipped_page_draws() -> None:
    """The Swagger UI in use draws OpenAPI 3.0 and nothing newer."""
    async with open_door().client() as client:
        script = (await client.get("/docs/swagger-ui-bundle.js")).text
    assert "openapi: 3.0.n" in script
    assert (await served_document())["openapi"].startswith("3.0.")


def test_routes_and_document_agree() -> None:
    """Every route is in the document with its methods, and the document promises no other."""
    metrics = Metrics(CollectorRegistry(), version="test")
    routes = http_routes(FakePredictor(), FakeRegistry(), metrics, LIMITS)
    built = {(route.path, method) for route in routes if route.include_in_schema for method in route.methods or ()}
    paths = openapi_document(LIMITS)["paths"]
    described = {(path, method.upper()) for path, item in paths.items() for method in item}
    assert {(path, method) for path, method in built if method != "HEAD"} == described
    assert {route.path for route in routes if not route.include_in_schema} == {
        "/",
        "/page/{asset}",
        "/docs",
        "/docs/{asset}",
        "/monitoring/prometheus/metrics",
    }


def test_every_kind_is_described() -> None:
    """A caller finds each kind of problem among the document's responses."""
    assert set(openapi_document(LIMITS)["components"]["responses"]) == {kind.value for kind in Kind}


async def test_a_request_id_of_any_characters_is_allowed() -> None:
    """The document forbids none, since none is refused: one that is not safe to repeat is replaced."""
    parameter = openapi_document(LIMITS)["components"]["parameters"]["request_id"]
    assert parameter["schema"] == {"type": "string"}
    async with open_door().client() as client:
        response = await client.get("/api/v1/models", headers={"x-request-id": "not safe"})
    assert response.status_code == 200
    assert response.headers["x-request-id"] != "not safe"


@pytest.mark.parametrize(
    ("fields", "is_allowed"), [(["image"], True), (["images"], True), (["image", "images"], False)]
)
def test_one_of_image_and_images(fields: list[str], is_allowed: bool) -> None:
    """The document forbids what is refused: both of them, or neither."""
    components = openapi_document(LIMITS)["components"]
    schema = components["schemas"]["ClassifyRequest"] | {"components": components}
    body = {name: {"image": "aW1hZ2U=", "images": ["aW1hZ2U="]}[name] for name in fields}
    assert jsonschema.Draft202012Validator(schema).is_valid(body) is is_allowed
    assert not jsonschema.Draft202012Validator(schema).is_valid({})


def test_generators_can_read_it() -> None:
    """Bodies have media types and no ranges, values of enumerations a type, and an object has one list of fields."""
    document = openapi_document(LIMITS, has_admin=True)
    bodies = [
        one["requestBody"]["content"]
        for path in document["paths"].values()
        for one in path.values()
        if "requestBody" in one
    ]
    assert bodies
    assert not [media_type for content in bodies for media_type in content if "*" in media_type]
    objects = list(_objects_in(document))
    assert all("type" in schema for schema in objects if "enum" in schema)
    assert all("properties" not in schema for schema in objects if "oneOf" in schema)


def _objects_in(part: Any) -> Iterator[dict[str, Any]]:
    """Every object of the document."""
    if isinstance(part, dict):
        yield part
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _objects_in(inner)


def check_against(document: dict[str, Any], path: str, method: str, response: httpx.Response) -> None:
    """The response's status, content type and body are those that the document describes."""
    described = document["paths"][path][method]["responses"][str(response.status_code)]
    if "$ref" in described:
        described = document["components"]["responses"][described["$ref"].rsplit("/", 1)[1]]
    schema = described["content"][response.headers["content-type"].partition(";")[0]]["schema"]
    content = response.json() if "json" in response.headers["content-type"] else response.text
    jsonschema.validate(content, closed(schema | {"components": document["components"]}))


def closed(schema: Any) -> Any:
    """The schema with every object shut, so that an undocumented field is an error."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict):
        found.setdefault("additionalProperties", False)
    return found


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("/api/v1/models", "/api/v1/models"),
        ("/api/v1/models/{name}", "/api/v1/models/flowers"),
        ("/api/v1/models/{name}", "/api/v1/models/trees"),
        ("/api/v1/models/{name}/{version}", "/api/v1/models/flowers/1"),
        ("/api/v1/models/{name}/{version}", "/api/v1/models/flowers/x"),
        ("/livez", "/livez"),
        ("/readyz", "/readyz"),
        ("/metrics", "/metrics"),
        ("/openapi.json", "/openapi.json"),
    ],
)
async def test_real_answers_match_the_document(path: str, url: str) -> None:
    """What a route answers has exactly the fields that the document describes."""
    async with open_door(reasons=["loading"] if path == "/readyz" else ()).client() as client:
        check_against(await served_document(), path, "get", await client.get(url))


@pytest.mark.parametrize("predictor", [FakePredictor, lambda: FakePredictor(OverloadedError("full"))])
async def test_real_classifications_match_the_document(predictor: Any) -> None:
    """Answers and problems of the classification route are as described."""
    door = open_door(predictor())
    async with door.client() as client:
        for options in ({"content": b"image"}, {"content": b""}, {"content": b"x", "headers": {"content-type": "a/b"}}):
            check_against(
                await served_document(), "/api/v1/classify", "post", await client.post("/api/v1/classify", **options)
            )


async def test_the_page_asks_nobody_outside() -> None:
    """The documentation page names no other host, and its policy would stop a request to one."""
    async with open_door().client() as client:
        page = await client.get("/docs")
        own_script = await client.get("/docs/docs.js")
    assert page.headers["content-type"].startswith("text/html")
    assert not re.search(r"(https?:)?//", page.text)
    assert "http" not in own_script.text
    assert "validatorUrl: null" in own_script.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert "http" not in policy
    assert "unsafe-eval" not in policy
    assert "script-src 'self';" in policy


async def test_the_page_finds_its_files() -> None:
    """Every file that the page refers to is served, with the type that browsers insist on."""
    types = {".js": "text/javascript", ".css": "text/css", ".png": "image/png", ".json": "application/json"}
    async with open_door().client() as client:
        page = (await client.get("/docs")).text
        references = re.findall(r'(?:src|href)="([^"]+)"', page)
        assert len(references) == 5
        for reference in references:
            response = await client.get(f"/{reference}")
            assert response.status_code == 200
            assert response.headers["content-type"].startswith(types[reference[reference.rindex(".") :]])
