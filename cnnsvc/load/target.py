"""Which server a load goes to and over what, read from a URL."""

from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

from cnnsvc.errors import InvalidError

Protocol = Literal["http", "grpc", "stream"]

DEFAULT_URL: Final = "http://127.0.0.1:8501"
_EXPECTED: Final = "expected http://HOST:PORT, https://…, grpc://… or grpcs://HOST:PORT"


@dataclass(frozen=True)
class Target:
    protocol: Protocol
    host: str
    port: int
    address: str
    """HOST:PORT as it was given, an IPv6 address in its brackets."""
    is_encrypted: bool = False


def read_target(url: str, *, is_stream: bool) -> Target:
    """`is_stream` turns calls over gRPC into one stream. Raises InvalidError for what is no such URL."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidError(f"{url!r} is not a URL: {error}; {_EXPECTED}") from None
    is_plain = parts.path in ("", "/") and not (parts.query or parts.fragment or "@" in parts.netloc)
    if parts.scheme not in ("http", "https", "grpc", "grpcs") or not host or not port or not is_plain:
        raise InvalidError(f"{url!r} is not the URL of a server; {_EXPECTED}")
    is_http = parts.scheme in ("http", "https")
    if is_stream and is_http:
        raise InvalidError(f"--stream needs gRPC, and {url} is HTTP; expected grpc://HOST:PORT, by default port 8500")
    protocol: Protocol = "stream" if is_stream else "http" if is_http else "grpc"
    return Target(protocol, host, port, parts.netloc, is_encrypted=parts.scheme in ("https", "grpcs"))
