"""/docs: the OpenAPI document shown by a Swagger UI that comes with the installation and asks nobody outside."""

from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from swagger_ui_bundle import swagger_ui_path

from cnnsvc.errors import NotFoundError

_WEB: Final = Path(__file__).parents[1] / "web"
_ASSETS: Final = {
    "docs.js": _WEB / "docs.js",
    "swagger-ui-bundle.js": Path(swagger_ui_path) / "swagger-ui-bundle.js",
    "swagger-ui.css": Path(swagger_ui_path) / "swagger-ui.css",
    "favicon.png": Path(swagger_ui_path) / "favicon-32x32.png",
}
# Swagger UI sets style attributes and draws its icons from data: addresses; everything else comes from this server.
_CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {"content-security-policy": _CONTENT_SECURITY_POLICY}


def docs_routes() -> list[Route]:
    return [
        Route("/docs", _page, methods=["GET"], include_in_schema=False),
        Route("/docs/{asset}", _asset, methods=["GET"], include_in_schema=False),
    ]


async def _page(request: Request) -> Response:
    return FileResponse(_WEB / "docs.html", headers=_HEADERS)


async def _asset(request: Request) -> Response:
    name = request.path_params["asset"]
    if name not in _ASSETS:
        raise NotFoundError(f"/docs has no file {name[:80]!r}; it has {', '.join(_ASSETS)}")
    return FileResponse(_ASSETS[name], headers=_HEADERS | {"cache-control": "max-age=3600"})
