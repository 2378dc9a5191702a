"""The certificates of both doors, and how each door takes new ones without a restart."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import PublicKeyAlgorithmOID

from cnnsvc.errors import SettingError
from cnnsvc.identity import no_password
from service.reloaded import Reloaded

_ALPN: Final = ["http/1.1"]
_CURVES: Final = ("secp256r1", "secp384r1")


@dataclass(frozen=True)
class Credentials:
    """What the files held when they were read."""

    chain_pem: bytes
    key_pem: bytes
    client_ca_pem: bytes | None
    """Whose certificates callers must show; None asks for none."""
    context: ssl.SSLContext
    """Of the HTTP door."""
    expiry_seconds: dict[str, float]
    """When the first certificate of a file expires, in Unix time: `certificate`, and `client_ca` where there is one."""


def read_credentials(certificate: Path, key: Path, client_ca: Path | None = None) -> Credentials:
    """Raises SettingError where a file cannot be read, is no PEM, or the key is not the certificate's."""
    chain_pem, key_pem = _read("--tls-certificate", certificate), _read("--tls-key", key)
    client_ca_pem = None if client_ca is None else _read("--tls-client-ca", client_ca)
    expiry = {"certificate": _first_expiry("--tls-certificate", certificate, chain_pem)}
    context = _context(asks_for_certificates=client_ca_pem is not None)
    _check_key(certificate, chain_pem)
    try:
        # The files once more: ssl reads keys from nowhere else. One that changes in between is read again soon.
        context.load_cert_chain(certificate, key, password=no_password)
    except (OSError, ValueError) as error:
        raise SettingError(f"--tls-certificate {certificate} and --tls-key {key} are no pair: {error}") from None
    if client_ca is not None and client_ca_pem is not None:
        expiry["client_ca"] = _first_expiry("--tls-client-ca", client_ca, client_ca_pem)
        try:
            context.load_verify_locations(cadata=client_ca_pem.decode("ascii", "ignore"))
        except ssl.SSLError as error:
            raise SettingError(f"--tls-client-ca {client_ca} cannot be used: {error}") from None
    return Credentials(chain_pem, key_pem, client_ca_pem, context, expiry)


def http_context(current: Callable[[], Credentials], *, asks_for_certificates: bool = True) -> ssl.SSLContext:
    """A context whose every handshake goes by the credentials of its moment."""
    context = _context(asks_for_certificates=asks_for_certificates and current().client_ca_pem is not None)

    def take_current(connection: ssl.SSLObject, server_name: str | None, _: ssl.SSLContext) -> None:
        connection.context = current().context

    context.sni_callback = take_current
    return context


def grpc_credentials(current: Callable[[], Credentials]) -> grpc.ServerCredentials:
    """For one server; each of its handshakes goes by the credentials of its moment."""
    given = current()

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal given
        if current() is given:
            return None
        given = current()
        return _configuration(given)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(given),
        fetch,  # type: ignore[arg-type]  # None is allowed: nothing has changed
        require_client_authentication=given.client_ca_pem is not None,
    )


def watched_credentials(certificate: Path, key: Path, client_ca: Path | None) -> Reloaded[Credentials]:
    """Raises SettingError."""
    paths = [certificate, key, *([client_ca] if client_ca else [])]
    return Reloaded("certificates", paths, lambda: read_credentials(certificate, key, client_ca))


def _context(*, asks_for_certificates: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(_ALPN)
    if asks_for_certificates:
        context.verify_mode = ssl.CERT_REQUIRED
        # A session that is resumed is not verified again, so one of an authority that is trusted no more would live on.
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.num_tickets = 0
    return context


def _configuration(read: Credentials) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(read.key_pem, read.chain_pem)], read.client_ca_pem)


def _read(flag: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingError(f"{flag} {path} cannot be read: {error.strerror}") from None


def _first_expiry(flag: str, path: Path, pem: bytes) -> float:
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise SettingError(f"{flag} {path} holds no certificate in PEM: {error}") from None
    return min(one.not_valid_after_utc.timestamp() for one in found)


def _check_key(path: Path, pem: bytes) -> None:
    """Raises SettingError for a certificate that gRPC's BoringSSL does not show, whatever HTTP's OpenSSL does."""
    leaf = x509.load_pem_x509_certificates(pem)[0]
    try:
        key = leaf.public_key()
    except (ValueError, UnsupportedAlgorithm):
        key = None
    is_rsa = leaf.public_key_algorithm_oid == PublicKeyAlgorithmOID.RSAES_PKCS1_v1_5
    is_ec = isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES
    if not is_rsa and not is_ec:
        raise SettingError(f"--tls-certificate {path} has a key that gRPC cannot use; expected RSA, P-256 or P-384")
