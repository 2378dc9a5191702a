"""Lets an HTTP request through where its token opens the path; what is not named here is not open."""

from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as RequestScope

from service.access import Access, Scope
from service.metrics import Metrics

METRICS_PATH: Final = "/metrics"
METRICS_PATHS: Final = (METRICS_PATH, "/monitoring/prometheus/metrics")
"""The second is where TensorFlow Serving's scrapers look."""
OPEN_PATHS: Final = frozenset(
    {"/", "/docs", "/livez", "/readyz", "/openapi.json", "/v2/health/live", "/v2/health/ready"}
)
"""Orchestrators and load balancers have no token; the pages and the description of the API are no secret."""
_OPEN_FOLDERS: Final = ("/docs/", "/page/")
_ADMIN_FOLDERS: Final = ("/api/v1/admin", "/v2/repository/models")


def scope_of(path: str) -> Scope | None:
    """What opens a path, those of no route included; None is open to all."""
    if path in OPEN_PATHS or path.startswith(_OPEN_FOLDERS):
        return None
    if path in METRICS_PATHS:
        return Scope.METRICS
    if path.startswith(_ADMIN_FOLDERS):
        return Scope.ADMIN
    return Scope.CLASSIFY


class Gate:
    """Wraps an ASGI app; a refusal is raised before anything of the body is read."""

    def __init__(self, app: ASGIApp, access: Access, metrics: Metrics) -> None:
        self._app = app
        self._access = access
        self._metrics = metrics

    async def __call__(self, scope: RequestScope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        # None of ours has such; and the router's patterns take a line feed behind a path for its end.
        if not path.isprintable():
            raise HTTPException(404)
        needed = scope_of(path)
        if needed is not None and not self._access.is_public(needed):
            self._check(scope, needed)
        await self._app(scope, receive, send)

    def _check(self, scope: RequestScope, needed: Scope) -> None:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        try:
            self._access.check(given[0].decode("latin-1") if len(given) == 1 else "", needed)
        except Exception:
            with self._metrics.request("http", "authorize", scope):
                raise
