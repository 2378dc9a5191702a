"""The admin API of a running server, as `cnnsvc models` asks it."""

import http.client
import json
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote, urlsplit

from cnnsvc.client_channel import error_of_kind
from cnnsvc.errors import InvalidError, NotFoundError, NotReadyError
from cnnsvc.identity import Identity

_PATH: Final = "/api/v1/admin/models"
_PORTS: Final = {"http": 80, "https": 443}
_LIMIT_BYTES: Final = 16 * 1024 * 1024

Json = dict[str, Any]


class AdminClient:
    """One connection a call; every call raises CnnsvcError by its kind."""

    def __init__(self, url: str, identity: Identity, timeout_ms: int) -> None:
        """`url` is http://HOST:PORT or https://…. Raises InvalidError for another."""
        parts = urlsplit(url)
        try:
            port = _PORTS.get(parts.scheme, 0) if parts.port is None else parts.port
        except ValueError:
            port = 0
        if parts.scheme not in _PORTS or not parts.hostname or not port:
            raise InvalidError(f"{url!r} is not a server's address; expected such as http://127.0.0.1:8501")
        if identity.tls and parts.scheme == "http":
            raise InvalidError(f"{url} is not encrypted; expected https:// with --tls and certificates")
        self._host, self._port = parts.hostname, port
        self._headers = {**identity.headers, "content-type": "application/json"}
        self._tls = identity.ssl_context() if parts.scheme == "https" else None
        self._timeout_seconds = timeout_ms / 1000

    def call(self, method: str, segments: Sequence[str] = (), body: Json | None = None) -> Json:
        """The answer to a call of /api/v1/admin/models/SEGMENTS."""
        path = "/".join([_PATH, *(quote(segment, safe="") for segment in segments)])
        connection = self._connection()
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, self._headers)
            response = connection.getresponse()
            content = response.read(_LIMIT_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise NotReadyError(f"{self._host}:{self._port} does not answer: {error or type(error).__name__}") from None
        finally:
            connection.close()
        return self._answer(response.status, content)

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_seconds)
        return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout_seconds, context=self._tls)

    def _answer(self, status: int, content: bytes) -> Json:
        try:
            answer = json.loads(content)
            if status == 200:
                return dict(answer)
            kind, detail = str(answer["kind"]), str(answer["detail"])
        except (ValueError, KeyError, TypeError):
            raise NotReadyError(
                f"{self._host}:{self._port} answers with status {status}, not as cnnsvc does; is it another program?"
            ) from None
        if status == 404 and detail.startswith("there is nothing at"):
            raise NotFoundError(
                f"{self._host}:{self._port} has no admin API; start it with --models-dir and --tokens-file"
            )
        raise error_of_kind(kind, detail)
