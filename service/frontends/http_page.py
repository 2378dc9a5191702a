"""The page at /: classify images in a browser and watch the load, with files that come from this server alone."""

from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from cnnsvc.errors import NotFoundError

_FOLDER: Final = Path(__file__).parents[1] / "web" / "page"
_HOME: Final = "index.html"
# Said here and not guessed from what the machine knows of file types: browsers run no script of another type.
_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_ASSETS: Final = {file.name: file for file in sorted(_FOLDER.iterdir()) if file.suffix in _TYPES}
# Thumbnails are blob:, the picture of an explanation is data:. No text can become a script or an element.
_CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script';"
    " trusted-types 'none'"
)
# Asked for each time, so that no file of an older version meets one of a newer.
_HEADERS: Final = {"content-security-policy": _CONTENT_SECURITY_POLICY, "cache-control": "no-cache"}


def page_routes() -> list[Route]:
    return [
        Route("/", _home, methods=["GET"], include_in_schema=False),
        Route("/page/{asset}", _asset, methods=["GET"], include_in_schema=False),
    ]


async def _home(request: Request) -> Response:
    return FileResponse(_FOLDER / _HOME, headers=_HEADERS)


async def _asset(request: Request) -> Response:
    name = request.path_params["asset"]
    if name not in _ASSETS:
        raise NotFoundError(f"/page has no file {name[:80]!r}; it has {', '.join(_ASSETS)}")
    file = _ASSETS[name]
    return FileResponse(file, headers=_HEADERS, media_type=_TYPES[file.suffix])
