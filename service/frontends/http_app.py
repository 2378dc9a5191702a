"""The HTTP front-end: which route does what, and the short ones themselves."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp

from service.access import Access
from service.frontends.http_admin import AdminDoor
from service.frontends.http_boundary import Boundary
from service.frontends.http_call import CallLimits
from service.frontends.http_classify import classify_endpoint
from service.frontends.http_docs import docs_routes
from service.frontends.http_explain import explain_endpoint
from service.frontends.http_gate import METRICS_PATH, METRICS_PATHS, Gate
from service.frontends.http_messages import MAX_VERSION, ModelList, Readiness, model_list, model_message
from service.frontends.http_page import page_routes
from service.frontends.http_parameters import read_integer, read_query_string
from service.frontends.openapi import openapi_document
from service.metrics import Metrics, ObservedRequest
from service.predictor import Predictor
from service.registry import Registry

Endpoint = Callable[[Request], Awaitable[Response]]


def build_http_app(
    predictor: Predictor,
    registry: Registry,
    metrics: Metrics,
    limits: CallLimits,
    *,
    access: Access | None = None,
    admin: AdminDoor | None = None,
    dialects: Sequence[Route] = (),
    has_metrics: bool = True,
) -> ASGIApp:
    """The ASGI app of every HTTP route; those of /v1/ and /v2/ belong to other dialects.

    Without `access` everybody may do everything, which for the admin API is out of the question.
    """
    assert access or not admin
    routes = http_routes(predictor, registry, metrics, limits, access, admin, has_metrics=has_metrics)
    return _guarded([*routes, *dialects], access, metrics)


def build_metrics_app(registry: Registry, metrics: Metrics, access: Access | None = None) -> ASGIApp:
    """What those who watch the service ask, for a door of its own."""
    return _guarded(_watch_routes(registry, metrics), access, metrics)


def _guarded(routes: list[Route], access: Access | None, metrics: Metrics) -> ASGIApp:
    router = Router(routes, redirect_slashes=False)
    return Boundary(Gate(router, access, metrics) if access else router)


def http_routes(
    predictor: Predictor,
    registry: Registry,
    metrics: Metrics,
    limits: CallLimits,
    access: Access | None = None,
    admin: AdminDoor | None = None,
    *,
    has_metrics: bool = True,
) -> list[Route]:
    """Those with include_in_schema are described in the OpenAPI document, one to one."""
    get_model = _measured(metrics, "get_model", _get_model(registry))
    return [
        Route("/api/v1/classify", classify_endpoint(predictor, metrics, limits), methods=["POST"]),
        Route("/api/v1/explain", explain_endpoint(predictor, registry, metrics, limits), methods=["POST"]),
        Route("/api/v1/models", _measured(metrics, "list_models", _list_models(registry)), methods=["GET"]),
        Route("/api/v1/models/{name}", get_model, methods=["GET"]),
        Route("/api/v1/models/{name}/{version}", get_model, methods=["GET"]),
        *(route for route in _watch_routes(registry, metrics) if has_metrics or route.path not in METRICS_PATHS),
        Route(
            "/openapi.json",
            _openapi(openapi_document(limits, access, has_admin=admin is not None, has_metrics=has_metrics)),
            methods=["GET"],
        ),
        *(admin.routes() if admin else ()),
        *docs_routes(),
        *page_routes(),
    ]


def _watch_routes(registry: Registry, metrics: Metrics) -> list[Route]:
    return [
        Route("/livez", _live, methods=["GET"]),
        Route("/readyz", _ready(registry), methods=["GET"]),
        *(
            Route(path, _scrape(metrics), methods=["GET"], include_in_schema=path == METRICS_PATH)
            for path in METRICS_PATHS
        ),
    ]


def _measured(metrics: Metrics, method: str, answer: Callable[[Request, ObservedRequest], msgspec.Struct]) -> Endpoint:
    """An API route without a body: measured, its query string refused, its answer JSON."""

    async def endpoint(request: Request) -> Response:
        with metrics.request("http", method, request.scope) as observed:
            read_query_string(request.scope["query_string"], allowed=())
            return _json(answer(request, observed))

    return endpoint


def _list_models(registry: Registry) -> Callable[[Request, ObservedRequest], ModelList]:
    def answer(request: Request, observed: ObservedRequest) -> ModelList:
        return model_list(registry.models(), registry.refusals())

    return answer


def _get_model(registry: Registry) -> Callable[[Request, ObservedRequest], msgspec.Struct]:
    def answer(request: Request, observed: ObservedRequest) -> msgspec.Struct:
        version = request.path_params.get("version")
        number = 0 if version is None else read_integer("version", version, 1, MAX_VERSION)
        found = model_message(registry.get(request.path_params["name"], number))
        observed.model, observed.version = found.name, found.version
        return found

    return answer


async def _live(request: Request) -> Response:
    return PlainTextResponse("ok")


def _ready(registry: Registry) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        reasons = registry.unready_reasons()
        return _json(Readiness(not reasons, reasons, registry.warnings()), status=503 if reasons else 200)

    return endpoint


def _scrape(metrics: Metrics) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        body, content_type = metrics.exposition(request.headers.get("accept", ""))
        return Response(body, headers={"content-type": content_type})

    return endpoint


def _openapi(document: dict[str, Any]) -> Endpoint:
    encoded = msgspec.json.encode(document)

    async def endpoint(request: Request) -> Response:
        return Response(encoded, media_type="application/json")

    return endpoint


def _json(message: msgspec.Struct, status: int = 200) -> Response:
    return Response(msgspec.json.encode(message), status, media_type="application/json")
