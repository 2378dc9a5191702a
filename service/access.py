"""Who may do what: tokens with scopes, of which the service knows only the hashes.

A token is 256 random bits (service.token_command makes it), so a plain SHA-256 is as good as a slow hash: there is
nothing to guess.
"""

import datetime
import hashlib
import hmac
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from cnnsvc.errors import ForbiddenError, SettingError, UnauthenticatedError

NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


class Scope(StrEnum):
    """What a token opens."""

    CLASSIFY = "classify"
    """To classify, and to list the models that do."""
    METRICS = "metrics"
    ADMIN = "admin"
    """The admin API."""


class Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One [[tokens]] of a tokens file."""

    name: Annotated[str, Meta(pattern=NAME_PATTERN)]
    scopes: Annotated[list[Scope], Meta(min_length=1)]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    """Of the token's ASCII text."""
    expires: datetime.date | None = None
    """Its last day, in UTC."""


class _TokensFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tokens: list[Token] = []


@dataclass(frozen=True, slots=True)
class _Known:
    name: str
    scopes: frozenset[Scope]
    digest: bytes
    last_day: datetime.date


def read_tokens(path: Path) -> list[Token]:
    """The tokens of a file. Raises SettingError where it cannot be read, is malformed or names one twice."""
    try:
        text = path.read_text(encoding="utf-8")
        tokens = msgspec.toml.decode(text, type=_TokensFile).tokens
    except (OSError, ValueError, RecursionError) as error:  # what the parser of TOML may raise, and msgspec
        raise SettingError(f"--tokens-file {path} cannot be read: {error}") from None
    names = [token.name for token in tokens]
    if twice := {name for name in names if names.count(name) > 1}:
        raise SettingError(f"--tokens-file {path} has several tokens named {min(twice)}; expected each name once")
    return tokens


def hash_of(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def current_caller() -> str:
    """The name of the token with which the call that this task serves came; "" without one."""
    return _caller.get()


_caller: ContextVar[str] = ContextVar("caller", default="")


class Access:
    """Judges the callers of both doors."""

    def __init__(
        self,
        tokens: Callable[[], list[Token]],
        public: frozenset[Scope] = frozenset(),
        *,
        today: Callable[[], datetime.date] = lambda: datetime.datetime.now(datetime.UTC).date(),
    ) -> None:
        """`tokens` gives those of now, the same list as long as they do not change; `public` scopes need none."""
        self._tokens = tokens
        self._public = public
        self._today = today
        self._read: list[Token] | None = None
        self._known: list[_Known] = []

    def is_public(self, scope: Scope) -> bool:
        return scope in self._public

    def check(self, authorization: str, scope: Scope) -> None:
        """Raises UnauthenticatedError without a known token, ForbiddenError where its scopes are others.

        `authorization` is the text of that header or metadata.
        """
        if scope in self._public:
            return
        known = self._find(authorization)
        _caller.set(known.name)
        if scope not in known.scopes:
            opened = ", ".join(sorted(known.scopes))
            raise ForbiddenError(f"token {known.name} opens {opened}; expected one that opens {scope}")

    def _find(self, authorization: str) -> _Known:
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise UnauthenticatedError("no token came; expected `Authorization: Bearer` with one that the server knows")
        digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        found = None
        for known in self._all():  # all of them: how long it takes tells nobody which one it was, or how near
            if hmac.compare_digest(digest, known.digest):
                found = known
        if found is None:
            raise UnauthenticatedError("an unknown token came; expected one that the server knows")
        if found.last_day < self._today():
            raise UnauthenticatedError(f"token {found.name} expired after {found.last_day}; expected a newer one")
        return found

    def _all(self) -> list[_Known]:
        tokens = self._tokens()
        if tokens is not self._read:
            self._read = tokens
            self._known = [
                _Known(
                    token.name,
                    frozenset(token.scopes),
                    bytes.fromhex(token.sha256),
                    token.expires or datetime.date.max,
                )
                for token in tokens
            ]
        return self._known
