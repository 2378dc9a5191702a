"""The routes of the Open Inference protocol below /v2, but for what is inferred (service.frontends.oip_http_infer)."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.admin import Admin
from service.admission import Admission
from service.frontends.http_admin import read_message
from service.frontends.http_call import CallLimits
from service.frontends.oip_http_infer import infer_endpoint, target_of
from service.frontends.oip_model import is_model_ready, model_config, model_metadata, server_metadata
from service.frontends.oip_query import Target
from service.frontends.oip_repository import load, repository_index, unload
from service.frontends.oip_statistics import model_statistics
from service.metrics import Metrics, ObservedRequest
from service.predictor import Predictor
from service.registry import Registry, ServedModel

Answer = Callable[[Request, ObservedRequest], Awaitable[Response]]
_MODEL = "/v2/models/{name}"
# Not the operators': whoever may classify may ask for the index, and slow bodies would shut the admin API.
_INDEX_ADMISSION = Admission(limit_images=1, limit_bytes=1024 * 1024)


class IndexRequest(msgspec.Struct, frozen=True):
    ready: bool = False


class RepositoryRequest(msgspec.Struct, frozen=True):
    parameters: dict[str, Any] | None = None


class OpenInferenceDoor:
    def __init__(
        self, predictor: Predictor, registry: Registry, metrics: Metrics, limits: CallLimits, admin: Admin | None
    ) -> None:
        self._infer = infer_endpoint(predictor, registry, metrics, limits)
        self._registry = registry
        self._metrics = metrics
        self._limits = limits
        self._admin = admin

    def routes(self) -> list[Route]:
        """The longer ones first: a model may be called stats."""
        of_model: list[tuple[str, str, Callable[..., Any]]] = [
            ("", "GET", self._measured("oip_model_metadata", self._metadata)),
            ("/ready", "GET", self._measured("oip_model_ready", self._model_ready)),
            ("/config", "GET", self._measured("oip_model_config", self._config)),
            ("/stats", "GET", self._measured("oip_statistics", self._statistics)),
            ("/infer", "POST", self._infer),
        ]
        return [
            Route("/v2", self._measured("oip_server_metadata", self._server), methods=["GET"]),
            Route("/v2/health/live", self._live, methods=["GET"]),
            Route("/v2/health/ready", self._ready, methods=["GET"]),
            Route("/v2/models/stats", self._measured("oip_statistics", self._all_statistics), methods=["GET"]),
            *(
                Route(f"{path}{end}", endpoint, methods=[method])
                for path in (_MODEL, f"{_MODEL}/versions/{{version}}")
                for end, method, endpoint in of_model
            ),
            Route("/v2/repository/index", self._measured("oip_repository_index", self._index), methods=["POST"]),
            Route("/v2/repository/models/{name}/load", self._measured("oip_load", self._load), methods=["POST"]),
            Route("/v2/repository/models/{name}/unload", self._measured("oip_unload", self._unload), methods=["POST"]),
        ]

    def _measured(self, method: str, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            with self._metrics.request("http", method, request.scope) as observed:
                return await answer(request, observed)

        return endpoint

    async def _live(self, request: Request) -> Response:
        return _json({"live": True, "ready": not self._registry.unready_reasons()})

    async def _ready(self, request: Request) -> Response:
        """The protocol calls it live, KServe's clients read ready."""
        is_ready = not self._registry.unready_reasons()
        return _json({"live": True, "ready": is_ready}, 200 if is_ready else 503)

    async def _server(self, request: Request, observed: ObservedRequest) -> Response:
        return _json(plain(server_metadata()))

    async def _model_ready(self, request: Request, observed: ObservedRequest) -> Response:
        is_ready = is_model_ready(target_of(request.path_params), self._registry)
        return _json({"name": request.path_params["name"], "ready": is_ready}, 200 if is_ready else 503)

    async def _metadata(self, request: Request, observed: ObservedRequest) -> Response:
        return _json(plain(model_metadata(self._served(request, observed), self._registry)))

    async def _config(self, request: Request, observed: ObservedRequest) -> Response:
        return _json(plain(model_config(self._served(request, observed), self._limits.max_images_per_call)))

    async def _statistics(self, request: Request, observed: ObservedRequest) -> Response:
        return _json(plain(model_statistics(target_of(request.path_params), self._registry)))

    async def _all_statistics(self, request: Request, observed: ObservedRequest) -> Response:
        return _json(plain(model_statistics(Target(""), self._registry)))

    async def _index(self, request: Request, observed: ObservedRequest) -> Response:
        asked: IndexRequest = await read_message(request, IndexRequest, _INDEX_ADMISSION)
        return _json(plain(repository_index(self._registry, only_ready=asked.ready))["models"])

    async def _load(self, request: Request, observed: ObservedRequest) -> Response:
        asked: RepositoryRequest = await read_message(request, RepositoryRequest)
        await load(self._admin, request.path_params["name"], asked.parameters or {})
        return _json({})

    async def _unload(self, request: Request, observed: ObservedRequest) -> Response:
        asked: RepositoryRequest = await read_message(request, RepositoryRequest)
        await unload(self._admin, request.path_params["name"], asked.parameters or {})
        return _json({})

    def _served(self, request: Request, observed: ObservedRequest) -> ServedModel:
        served = target_of(request.path_params).served(self._registry)
        observed.model, observed.version = served.manifest.name, served.manifest.version
        return served


def plain(message: Message) -> dict[str, Any]:
    """Every field by its name, whole numbers as numbers: protobuf's own JSON makes text of those of 64 bits."""
    fields: Any = message.DESCRIPTOR.fields
    return {field.name: _plain_value(message, field) for field in fields if not _is_map(field)}


def _plain_value(message: Message, field: Any) -> Any:
    value = getattr(message, field.name)
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return [plain(each) for each in value] if field.is_repeated else plain(value)
    if field.type == FieldDescriptor.TYPE_ENUM:
        return field.enum_type.values_by_number[value].name
    return list(value) if field.is_repeated else value


def _is_map(field: Any) -> bool:
    return bool(field.message_type and field.message_type.GetOptions().map_entry)


def _json(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")
