"""The HTTP door of a running server, as commands ask it: one question, one answer in JSON."""

import http.client
import json
from typing import Any, Final
from urllib.parse import urlsplit

from cnnsvc.client_channel import error_of_kind
from cnnsvc.errors import InvalidError, NotReadyError
from cnnsvc.identity import Identity

_PORTS: Final = {"http": 80, "https": 443}
_LIMIT_BYTES: Final = 16 * 1024 * 1024

Json = dict[str, Any]


class DoorClient:
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
        self.address = f"{parts.hostname}:{port}"
        self._host, self._port = parts.hostname, port
        self._headers = identity.headers
        self._tls = identity.ssl_context() if parts.scheme == "https" else None
        self._timeout_seconds = timeout_ms / 1000

    def ask(self, method: str, path: str, body: bytes | None, content_type: str) -> Json:
        connection = self._connection()
        try:
            connection.request(method, path, body, {**self._headers, "content-type": content_type})
            response = connection.getresponse()
            content = response.read(_LIMIT_BYTES)
        except OSError as error:
            raise NotReadyError(f"{self.address} does not answer: {error or type(error).__name__}") from None
        except http.client.HTTPException:  # its words are what came
            raise NotReadyError(f"{self.address} does not answer in HTTP; is it another program?") from None
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
                f"{self.address} answers with status {status}, not as cnnsvc does; is it another program?"
            ) from None
        raise error_of_kind(kind, detail)
