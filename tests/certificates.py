"""Certificates for tests: an authority, and files of what it issued."""

import datetime
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization

from cnnsvc.identity import Tls


@dataclass(frozen=True)
class Pair:
    certificate: Path
    key: Path


class Authority:
    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder / name
        self._folder.mkdir()
        self._authority = trustme.CA()
        self.file = self._folder / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.file))

    def issue(self, name: str = "localhost", *, days: int = 30) -> Pair:
        """For this name and 127.0.0.1; it expired already where the days are negative."""
        now = datetime.datetime.now(datetime.UTC)
        issued = self._authority.issue_cert(
            name,
            "127.0.0.1",
            not_before=now - datetime.timedelta(days=60),
            not_after=now + datetime.timedelta(days=days),
        )
        pair = Pair(self._folder / f"{name}.{days}.pem", self._folder / f"{name}.{days}.key")
        issued.private_key_pem.write_to_path(str(pair.key))
        pair.certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        return pair

    def tls(self, own: Pair | None = None) -> Tls:
        """Of a client that trusts this authority and shows this certificate."""
        return Tls(self.file, own.certificate, own.key) if own else Tls(self.file)


def replace(old: Path, new: Path) -> None:
    """The file's content, in one step, as tools that renew certificates do it."""
    staged = old.with_name(f".{old.name}")
    staged.write_bytes(new.read_bytes())
    staged.replace(old)


def encrypted(pair: Pair) -> Path:
    """Its key behind a password."""
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"secret")
    path = pair.key.with_suffix(".locked")
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked))
    return path
