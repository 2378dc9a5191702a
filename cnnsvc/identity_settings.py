"""An identity as flags of the commands that call a server."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cnnsvc.identity import Identity, Tls
from cnnsvc.options import setting
from cnnsvc.token_file import read_token


@dataclass(frozen=True)
class IdentitySettings:
    """What the user leaves out is nobody, in plain words."""

    token_file: Annotated[
        Path | None, setting("File with the token to show, as `cnnsvc token` prints it; default shows none.")
    ] = None
    tls: Annotated[bool, setting("Encrypt, and trust the authorities of the system; --server-ca encrypts too.")] = False
    server_ca: Annotated[
        Path | None, setting("File with the authorities in PEM that the server's certificate must be of.")
    ] = None
    client_certificate: Annotated[
        Path | None, setting("File with the certificate chain in PEM to show to a server that asks for one.")
    ] = None
    client_key: Annotated[Path | None, setting("File with that certificate's private key in PEM.")] = None

    def __post_init__(self) -> None:
        if (self.client_certificate is None) != (self.client_key is None):
            raise ValueError("expected --client-certificate and --client-key, or neither")

    def identity(self, *, is_encrypted: bool = False) -> Identity:
        """`is_encrypted`: the address says so. Raises InvalidError."""
        token = read_token(self.token_file) if self.token_file else ""
        is_encrypted |= self.tls or self.server_ca is not None or self.client_certificate is not None
        tls = Tls(self.server_ca, self.client_certificate, self.client_key) if is_encrypted else None
        return Identity(token, tls)
