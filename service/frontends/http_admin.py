"""The admin API: bodies to decisions. Who may take them is http_gate's matter."""

import logging
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cnnsvc.errors import CallCancelledError, InvalidError
from service.access import current_caller
from service.admin import MAX_WEIGHT, Admin
from service.admission import Admission
from service.frontends.http_body import ClientGoneError, read_body
from service.frontends.http_messages import MAX_VERSION
from service.frontends.http_parameters import read_integer, read_query_string
from service.metrics import Metrics, ObservedRequest

ADMIN_PATH: Final = "/api/v1/admin/models"
_BODY_LIMIT_BYTES: Final = 64 * 1024
_BODY_TIMEOUT_MS: Final = 10_000
# Of its own: an operator must get through to a server that images have filled.
_ADMISSION: Final = Admission(limit_images=1, limit_bytes=64 * _BODY_LIMIT_BYTES)

_log = logging.getLogger("cnnsvc.admin")

Act = Callable[[Request, ObservedRequest], Awaitable[msgspec.Struct]]


class LabelTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a label shall point."""

    version: Annotated[int, Meta(description="A version that is loaded.", ge=1, le=MAX_VERSION)]


class SplitWeights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How calls that name neither version nor label are dealt out."""

    weights: Annotated[
        dict[str, Annotated[int, Meta(ge=0, le=MAX_WEIGHT)]],
        Meta(description="Weights by label; empty lets the default version answer them all."),
    ]


class RollbackTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to go back to."""

    version: Annotated[int, Meta(description="Absent means the version before.", ge=1, le=MAX_VERSION)] | UnsetType = (
        UNSET
    )


class AdminDoor:
    def __init__(self, admin: Admin, metrics: Metrics) -> None:
        self._admin = admin
        self._metrics = metrics

    def routes(self) -> list[Route]:
        model = f"{ADMIN_PATH}/{{name}}"
        version, label = f"{model}/versions/{{version}}", f"{model}/labels/{{label}}"
        return [
            self._route(ADMIN_PATH, "GET", "list", self._list),
            self._route(model, "GET", "show", self._show),
            self._route(f"{version}/load", "POST", "load", self._load),
            self._route(f"{version}/unload", "POST", "unload", self._unload),
            Route(
                label,
                self._endpoint({"PUT": ("label", self._label), "DELETE": ("unlabel", self._unlabel)}),
                methods=["PUT", "DELETE"],
            ),
            self._route(f"{model}/split", "PUT", "split", self._split),
            self._route(f"{model}/rollback", "POST", "rollback", self._roll_back),
        ]

    def _route(self, path: str, http_method: str, name: str, act: Act) -> Route:
        return Route(path, self._endpoint({http_method: (name, act), "HEAD": (name, act)}), methods=[http_method])

    def _endpoint(self, acts: dict[str, tuple[str, Act]]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            name, act = acts[request.method]
            with self._metrics.request("http", f"admin_{name}", request.scope) as observed:
                read_query_string(request.scope["query_string"], allowed=())
                answer = await act(request, observed)
                if request.method not in ("GET", "HEAD"):
                    fields = {"act": name, "model": _name(request), "caller": current_caller()}
                    _log.info("%(act)s of model %(model)s by %(caller)s", fields, extra=fields)
            return Response(msgspec.json.encode(answer), media_type="application/json")

        return endpoint

    async def _list(self, request: Request, observed: ObservedRequest) -> msgspec.Struct:
        return self._admin.list_models()

    async def _show(self, request: Request, observed: ObservedRequest) -> msgspec.Struct:
        return self._admin.show(_name(request))

    async def _load(self, request: Request, observed: ObservedRequest) -> msgspec.Struct:
        return await self._admin.load(_name(request), _version(request))

    async def _unload(self, request: Request, observed: ObservedRequest) -> msgspec.Struct:
        return await self._admin.unload(_name(request), _version(request))

    async def _label(self, request: Request, observed: ObservedRequest) -> msgspec.Struct:
        target = await read_message(request, LabelTarget)
        return await self._admin.label(_name(request), request.path_params["label"], target.version)

    async def _unlabel(self, request: Request, observed: ObservedRequest) -> msgspec.Struct:
        return await self._admin.unlabel(_name(request), request.path_params["label"])

    async def _split(self, request: Request, observed: ObservedRequest) -> msgspec.Struct:
        return await self._admin.split(_name(request), (await read_message(request, SplitWeights)).weights)

    async def _roll_back(self, request: Request, observed: ObservedRequest) -> msgspec.Struct:
        target = await read_message(request, RollbackTarget)
        return await self._admin.roll_back(_name(request), target.version or None)


async def read_message(request: Request, kind: type[Any], admission: Admission = _ADMISSION) -> Any:
    """The body as such a message, held in the operators' own room unless another is named.

    Raises InvalidError, TooLargeError, LateError, CallCancelledError.
    """
    try:
        body = await read_body(request.receive, admission, _BODY_LIMIT_BYTES, _BODY_TIMEOUT_MS)
    except ClientGoneError:
        raise CallCancelledError("the caller went away before its body was complete") from None
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidError(f"the body is not a {kind.__name__}: {error}") from None


def _name(request: Request) -> str:
    return str(request.path_params["name"])


def _version(request: Request) -> int:
    return read_integer("version", request.path_params["version"], 1, MAX_VERSION)
