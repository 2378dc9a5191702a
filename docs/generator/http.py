"""The page of HTTP routes, from the OpenAPI document of a server with default limits."""

import dataclasses
from typing import Any, Final

from cnnsvc import manifest
from docs.generator.markdown import anchor, code, joined, link, sentence, table, text
from docs.generator.schemas import Json, field_docs, section, type_of
from service.frontends import http_messages, problem
from service.frontends.http_call import CallLimits
from service.frontends.http_docs import docs_routes
from service.frontends.http_page import page_routes
from service.frontends.openapi import openapi_document
from service.settings import ServeSettings

_FOR_BROWSERS: Final = {
    "/": "Classify images in a browser and watch the load",
    "/page/{asset}": "What that page is made of",
    "/docs": "The API in a browser, from this server alone",
    "/docs/{asset}": "What that page is made of",
}


def page() -> str:
    document = openapi_document(default_limits(), has_admin=True)
    operations = [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    listed = [
        [link(code(f"{method} {path}"), anchor(f"{method} {path}")), text(one["summary"])]
        for method, path, one in operations
    ]
    schemas, docs = document["components"]["schemas"], field_docs(manifest, http_messages, problem)
    unlisted = [[code(f"GET {route.path}"), _FOR_BROWSERS[route.path]] for route in (*page_routes(), *docs_routes())]
    return joined(
        "# HTTP API",
        text(sentence(document["info"]["description"])),
        "A running server describes itself at `/docs` and, for programs, at `/openapi.json`. Numbers below are the"
        " defaults of [`cnnsvc serve`](commands.md#cnnsvc-serve). Errors: [errors.md](errors.md).",
        "## Routes",
        table(("route", "is"), [*listed, *unlisted]),
        *(_section(document, method, path, operation) for method, path, operation in operations),
        "## Objects",
        *(section(name, schema, docs.get(name, {}), level=3) for name, schema in schemas.items()),
    )


def default_limits() -> CallLimits:
    defaults = {field.name: field.default for field in dataclasses.fields(ServeSettings)}
    return CallLimits(**{field.name: int(str(defaults[field.name])) for field in dataclasses.fields(CallLimits)})


def _section(document: Json, method: str, path: str, operation: Json) -> str:
    found = [_resolved(document, parameter) for parameter in operation.get("parameters", ())]
    bodies = operation.get("requestBody", {}).get("content", {})
    answers = [(status, _resolved(document, answer)) for status, answer in operation["responses"].items()]
    return joined(
        f"## {method} {path}",
        text(f"{sentence(operation['summary'])} {sentence(operation.get('description', ''))}"),
        table(("parameter", "in", "type", "is"), map(_parameter_row, found)),
        table(("body", "is"), ([code(media_type), _body(body["schema"])] for media_type, body in bodies.items())),
        table(("status", "is", "body"), ([status, text(one["description"]), _answer(one)] for status, one in answers)),
    )


def _resolved(document: Json, part: Json) -> Json:
    if "$ref" not in part:
        return part
    found: Any = document
    for step in part["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return dict(found)


def _parameter_row(parameter: Json) -> list[str]:
    is_path = parameter["in"] == "path"
    return [
        code(parameter["name"]),
        parameter["in"] if is_path else f"{parameter['in']}, optional",
        type_of(parameter["schema"]),
        text(parameter["description"]),
    ]


def _body(schema: Json) -> str:
    if schema.get("type") == "object" and "properties" in schema:
        fields = ", ".join(f"{code(name)} ({type_of(part)})" for name, part in schema["properties"].items())
        return f"{text(schema.get('description', ''))} Fields: {fields}".strip()
    return "one image" if schema.get("format") == "binary" else type_of(schema)


def _answer(response: Json) -> str:
    return ", ".join(
        f"{code(media_type)} {'' if body['schema'].get('type') == 'string' else type_of(body['schema'])}".strip()
        for media_type, body in response.get("content", {}).items()
    )
