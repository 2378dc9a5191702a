"""The admin API of a running server, as `cnnsvc models` asks it."""

import json
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from cnnsvc.door_client import DoorClient, Json
from cnnsvc.errors import NotFoundError
from cnnsvc.identity import Identity

_PATH: Final = "/api/v1/admin/models"


class AdminClient:
    """One connection a call; every call raises CnnsvcError by its kind."""

    def __init__(self, url: str, identity: Identity, timeout_ms: int) -> None:
        """`url` is http://HOST:PORT or https://…. Raises InvalidError for another."""
        self._door = DoorClient(url, identity, timeout_ms)

    def call(self, method: str, segments: Sequence[str] = (), body: Json | None = None) -> Json:
        """The answer to a call of /api/v1/admin/models/SEGMENTS."""
        path = "/".join([_PATH, *(quote(segment, safe="") for segment in segments)])
        content = None if body is None else json.dumps(body).encode()
        try:
            return self._door.ask(method, path, content, "application/json")
        except NotFoundError as error:
            if not str(error).startswith("there is nothing at"):
                raise
        raise NotFoundError(
            f"{self._door.address} has no admin API; start it with --models-dir and --tokens-file"
        ) from None
