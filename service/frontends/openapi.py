"""The OpenAPI document, its schemas taken from the structs that the HTTP API reads and writes.

OpenAPI 3.0, not 3.1: the Swagger UI that installs as a Python package (4.15) draws nothing for a 3.1 document.
"""

from typing import Any, Final

from cnnsvc.errors import Kind
from cnnsvc.occlusion import DEFAULT_BUDGET, LEAST_BUDGET
from service.access import Access
from service.frontends.http_call import CallLimits
from service.frontends.http_gate import METRICS_PATH
from service.frontends.http_messages import (
    MAX_VERSION,
    ClassifyRequest,
    ClassifyResponse,
    ExplainRequest,
    ExplainResponse,
    Model,
    ModelList,
    Readiness,
)
from service.frontends.http_parameters import TIMEOUT_HEADER
from service.frontends.openapi_admin import ADMIN_STRUCTS, admin_parameters, admin_paths
from service.frontends.openapi_bodies import BUDGET, classify_form, explain_form, request_body
from service.frontends.openapi_schemas import schemas_of, with_alternatives
from service.frontends.openapi_security import add_security
from service.frontends.problem import PROBLEM_TYPE, Problem
from service.frontends.status import HTTP_STATUS

Json = dict[str, Any]

_STRUCTS: Final = (
    ClassifyRequest,
    ClassifyResponse,
    ExplainRequest,
    ExplainResponse,
    Model,
    ModelList,
    Readiness,
    Problem,
)
_CLASSIFY_KINDS: Final = (
    Kind.INVALID, Kind.NOT_FOUND, Kind.TOO_LARGE, Kind.UNSUPPORTED, Kind.OVERLOADED, Kind.INTERNAL, Kind.NOT_READY,
    Kind.LATE,
)  # fmt: skip


def openapi_document(
    limits: CallLimits, access: Access | None = None, *, has_admin: bool = False, has_metrics: bool = True
) -> Json:
    """Of what is there: the admin API and /metrics may be elsewhere or nowhere, and tokens may not be asked for."""
    document: Json = {
        "openapi": "3.0.3",
        "info": {
            "title": "cnnsvc",
            "version": "1",
            "description": "Classifies images. Errors are RFC 9457 problem documents; every response carries the"
            " request id, the caller's `X-Request-Id` (1 to 128 of A-Z a-z 0-9 . _ -) or a new one.",
        },
        "tags": [{"name": "classification"}, {"name": "models"}, {"name": "operation"}],
        "paths": {
            "/api/v1/classify": {"post": _classify_operation(limits)},
            "/api/v1/explain": {"post": _explain_operation()},
            "/api/v1/models": {"get": _models_operation("listModels", "Every loaded model", "ModelList")},
            "/api/v1/models/{name}": {"get": _models_operation("getModel", "Its default version", "Model", "name")},
            "/api/v1/models/{name}/{version}": {
                "get": _models_operation("getModelVersion", "One version", "Model", "name", "version")
            },
            **_operation_paths(),
        },
        "components": {
            "schemas": with_alternatives(
                schemas_of(_STRUCTS), "ClassifyRequest", {"ClassifyImage": "image", "ClassifyImages": "images"}
            ),
            "responses": {kind.value: _problem_response(kind) for kind in Kind},
            "headers": {"X-Request-Id": {"schema": {"type": "string"}, "description": "Its name in the log."}},
            "parameters": _parameters(limits),
        },
    }
    if has_admin:
        _add_admin(document)
    if not has_metrics:
        del document["paths"][METRICS_PATH]
    if access:
        add_security(document, access)
    return document


def _add_admin(document: Json) -> None:
    document["tags"].append({"name": "administration"})
    document["paths"] |= admin_paths()
    components = document["components"]
    components["schemas"] |= schemas_of(ADMIN_STRUCTS)
    components["parameters"] |= admin_parameters()


def _classify_operation(limits: CallLimits) -> Json:
    return {
        "operationId": "classify",
        "tags": ["classification"],
        "summary": "Classify one or many images",
        # A range of media types in the list of bodies is more than some generators can read.
        "description": "JPEG, PNG, WebP, BMP or GIF (first frame), told by content: the one image of a body may come"
        " as any `image/` type too. At most"
        f" {limits.max_images_per_call} images and {limits.body_limit_bytes} bytes a call. Each parameter is given"
        " once: in the query string or, with a form or JSON, in the body. Unknown parameters are refused.",
        "parameters": [_parameter(name) for name in ("model", "version", "label", "top_k", "timeout", "request_id")],
        "requestBody": request_body(classify_form(), "ClassifyRequest"),
        "responses": {
            "200": _json_response("One result an image, in the order of the request.", "ClassifyResponse"),
            **_problems(*_CLASSIFY_KINDS),
        },
    }


def _explain_operation() -> Json:
    names = ("model", "version", "label", "class_name", "budget", "timeout", "request_id")
    return {
        "operationId": "explain",
        "tags": ["classification"],
        "summary": "Show what of an image its classification hangs on",
        "description": "One image, as for classification. Patches of it are covered in turn with its mean colour, and"
        " each such image is classified: where the score of the class falls most, the class hangs on what is there."
        " It takes as many inferences as the budget allows, beside other calls, and counts as no prediction.",
        "parameters": [_parameter(name) for name in names],
        "requestBody": request_body(explain_form(), "ExplainRequest"),
        "responses": {"200": _json_response("The map.", "ExplainResponse"), **_problems(*_CLASSIFY_KINDS)},
    }


def _models_operation(operation_id: str, summary: str, schema: str, *path_parameters: str) -> Json:
    kinds = (Kind.INVALID, Kind.NOT_FOUND, Kind.INTERNAL, Kind.NOT_READY) if path_parameters else (Kind.INVALID,)
    return {
        "operationId": operation_id,
        "tags": ["models"],
        "summary": summary,
        "parameters": [_parameter(name) for name in (*(f"path_{name}" for name in path_parameters), "request_id")],
        "responses": {"200": _json_response(summary, schema), **_problems(*kinds)},
    }


def _operation_paths() -> Json:
    """What orchestrators, scrapers and generators read; none of it is measured."""
    unready = _json_response("Not yet, and why.", "Readiness")
    return {
        "/livez": {"get": _operation("live", "Whether the process answers", {"200": _text_response("ok")})},
        "/readyz": {
            "get": _operation(
                "ready",
                "Whether every configured model answers",
                {"200": _json_response("Ready.", "Readiness"), "503": unready},
            )
        },
        "/metrics": {"get": _operation("metrics", "Prometheus metrics", {"200": _text_response("Every metric.")})},
        "/openapi.json": {
            "get": _operation(
                "openapi",
                "This document",
                {
                    "200": {
                        "description": "OpenAPI 3.0.",
                        "content": {"application/json": {"schema": {"type": "object", "additionalProperties": True}}},
                    }
                },
            )
        },
    }


def _operation(operation_id: str, summary: str, responses: Json) -> Json:
    return {"operationId": operation_id, "tags": ["operation"], "summary": summary, "responses": responses}


def _parameters(limits: CallLimits) -> Json:
    version = {"type": "integer", "minimum": 0, "maximum": MAX_VERSION}
    top_k = {"type": "integer", "minimum": 1}
    timeout = {"type": "integer", "minimum": 1}
    request_id = "1 to 128 of A-Z a-z 0-9 . _ - come back in the response and in the log; another one is replaced."
    best = "Number of classes an image, best first; absent means 5 or all, whichever is less."
    budget_limit = limits.explain_budget_limit
    budget = f"Most inferences, {LEAST_BUDGET} to {budget_limit}; absent means {min(DEFAULT_BUDGET, budget_limit)}."
    late = f"Milliseconds until the answer is of no use any more; at most {limits.request_timeout_ms}."
    return {
        "model": _describe("model", "query", {"type": "string"}, "Name of the model; absent means the only one."),
        "version": _describe("version", "query", version, "Absent or 0 means the default version."),
        "label": _describe("label", "query", {"type": "string"}, "Label of a version, instead of a version."),
        "top_k": _describe("top_k", "query", top_k, best),
        "class_name": _describe(
            "class_name", "query", {"type": "string"}, "Class to explain; absent or empty means the best one."
        ),
        "budget": _describe("budget", "query", BUDGET | {"maximum": budget_limit}, budget),
        "timeout": _describe(TIMEOUT_HEADER, "header", timeout, late),
        "request_id": _describe("X-Request-Id", "header", {"type": "string"}, request_id),
        "path_name": _describe("name", "path", {"type": "string"}, "Name of the model."),
        "path_version": _describe("version", "path", version | {"minimum": 1}, "Version of the model."),
    }


def _describe(name: str, place: str, schema: Json, description: str) -> Json:
    return {"name": name, "in": place, "required": place == "path", "schema": schema, "description": description}


def _parameter(name: str) -> Json:
    return {"$ref": f"#/components/parameters/{name}"}


def _ref(schema: str) -> Json:
    return {"$ref": f"#/components/schemas/{schema}"}


def _problems(*kinds: Kind) -> Json:
    return {str(HTTP_STATUS[kind].status): {"$ref": f"#/components/responses/{kind.value}"} for kind in kinds}


def _problem_response(kind: Kind) -> Json:
    headers = _request_id_header()
    if HTTP_STATUS[kind].retry_after_s is not None:
        headers["Retry-After"] = {"schema": {"type": "integer"}, "description": "Seconds."}
    return {
        "description": f"{HTTP_STATUS[kind].title}: kind {kind.value}.",
        "headers": headers,
        "content": {PROBLEM_TYPE.decode("ascii"): {"schema": _ref("Problem")}},
    }


def _json_response(description: str, schema: str) -> Json:
    return _response(description, "application/json", _ref(schema))


def _text_response(description: str) -> Json:
    return _response(description, "text/plain", {"type": "string"})


def _response(description: str, content_type: str, schema: Json) -> Json:
    return {"description": description, "headers": _request_id_header(), "content": {content_type: {"schema": schema}}}


def _request_id_header() -> Json:
    return {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
