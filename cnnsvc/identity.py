"""How a client shows who it is, and whom it trusts to be the server."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc

from cnnsvc.errors import InvalidError


@dataclass(frozen=True, slots=True)
class Tls:
    """Encryption; every file is PEM."""

    server_ca: str | Path | None = None
    """Authorities of the server's certificate; None are those that the system trusts, over gRPC those of gRPC."""
    certificate: str | Path | None = None
    """The client's own chain, for servers that ask for one; with its key."""
    key: str | Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise InvalidError("expected a client's certificate and its key, or neither")


@dataclass(frozen=True, slots=True)
class Identity:
    """Without a token and without encryption, as for a server on this machine."""

    token: str = field(default="", repr=False)
    tls: Tls | None = None

    def __post_init__(self) -> None:
        if not (self.token.isascii() and self.token.isprintable()) or " " in self.token:
            raise InvalidError("the token is not one word of ASCII; is there a line feed at its end?")

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Of each gRPC call."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    @property
    def headers(self) -> dict[str, str]:
        """Of each HTTP request."""
        return dict(self.metadata)

    def channel(self, kind: Any, address: str, options: list[tuple[str, Any]]) -> Any:
        """A channel of grpc or of grpc.aio, whichever `kind` is. Raises InvalidError for a file that cannot be read."""
        if self.tls is None:
            return kind.insecure_channel(address, options=options)
        self.ssl_context()  # finds what is wrong with a file, which gRPC takes for a server that is away
        ca, key, chain = (_read(path) for path in (self.tls.server_ca, self.tls.key, self.tls.certificate))
        return kind.secure_channel(address, grpc.ssl_channel_credentials(ca, key, chain), options=options)

    def ssl_context(self) -> ssl.SSLContext | None:
        """For HTTP; None where nothing is encrypted. Raises InvalidError for a file that cannot be used."""
        if self.tls is None:
            return None
        try:
            context = ssl.create_default_context(cafile=self.tls.server_ca)
            if self.tls.certificate is not None:
                context.load_cert_chain(self.tls.certificate, self.tls.key, password=no_password)
        except (OSError, ValueError) as error:
            names = ", ".join(str(one) for one in (self.tls.server_ca, self.tls.certificate, self.tls.key) if one)
            raise InvalidError(f"{names} cannot be used for TLS: {error}") from None
        return context


NOBODY: Final = Identity()


def no_password() -> str:
    """For ssl, which would ask a terminal for the one of an encrypted key. Raises ValueError."""
    raise ValueError("the key is encrypted; expected one without a password")


def _read(path: str | Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidError(f"{path} cannot be read: {error.strerror}") from None
