"""What the doors take for certificates."""

import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from cnnsvc.errors import SettingError
from service.certificates import read_credentials
from tests.certificates import Authority

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def _write(folder: Path, key: Key) -> tuple[Path, Path]:
    """A certificate that signs itself, and its key."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    signed = builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    (folder / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / "key.pem").write_bytes(pem)
    return folder / "cert.pem", folder / "key.pem"


@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)])
def test_keys_that_both_doors_can_use(tmp_path: Path, key: Key) -> None:
    """The common ones."""
    assert read_credentials(*_write(tmp_path, key)).expiry_seconds["certificate"] > 0


@pytest.mark.parametrize("key", [ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP521R1())])
def test_keys_that_grpc_cannot_use(tmp_path: Path, key: Key) -> None:
    """They are refused as that, and not shown by one door alone."""
    with pytest.raises(SettingError, match="gRPC cannot use; expected RSA"):
        read_credentials(*_write(tmp_path, key))


def test_authorities_with_words_between_them(tmp_path: Path) -> None:
    """Whatever their letters; an authority that is none is told."""
    authority, other = Authority(tmp_path, "one"), Authority(tmp_path, "two")
    pair = authority.issue()
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(
        f"# für alle\n{authority.file.read_text()}\n# und ihn\n{other.file.read_text()}", encoding="utf-8"
    )
    read = read_credentials(pair.certificate, pair.key, bundle)
    assert len(read.context.get_ca_certs()) == 2
    bundle.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(SettingError, match="--tls-client-ca"):
        read_credentials(pair.certificate, pair.key, bundle)
