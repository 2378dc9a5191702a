"""How clients show who they are."""

from pathlib import Path

import grpc
import pytest

from cnnsvc.admin_client import AdminClient
from cnnsvc.client import Client, Tls
from cnnsvc.errors import InvalidError
from cnnsvc.identity import Identity
from tests.certificates import Authority, encrypted


@pytest.mark.parametrize("token", ["s3cret\n", "s3cret s3cret", "s3crät", "s3\tcret"])
def test_a_token_is_one_word(token: str) -> None:
    """What no header can carry is refused at once, without being repeated."""
    with pytest.raises(InvalidError, match="not one word") as refused:
        Client("127.0.0.1:1", token=token)
    assert token.strip() not in str(refused.value)


def test_a_token_is_not_shown() -> None:
    """Nor is it in what a traceback or a log may print."""
    assert "secret" not in repr(Identity("secret"))


def test_files_are_looked_at_before_a_call(tmp_path: Path) -> None:
    """Words, an absent file and a key with a password are told as that, and not as a server that is away."""
    authority = Authority(tmp_path, "company")
    own = authority.issue("camera")
    (tmp_path / "words").write_text("no certificate")
    for tls, said in [
        (Tls(tmp_path / "words"), "words cannot be used for TLS"),
        (Tls(tmp_path / "none"), "none cannot be used for TLS"),
        (Tls(authority.file, own.certificate, encrypted(own)), "the key is encrypted"),
        (Tls(authority.file, own.certificate, authority.issue("other").key), "cannot be used for TLS"),
    ]:
        with pytest.raises(InvalidError, match=said):
            Identity(tls=tls).channel(grpc, "127.0.0.1:1", [])
    with pytest.raises(InvalidError, match="certificate and its key"):
        Tls(certificate=own.certificate)


def test_a_token_is_not_sent_in_the_clear_by_mistake(tmp_path: Path) -> None:
    """Who names certificates means to encrypt."""
    tls = Authority(tmp_path, "company").tls()
    with pytest.raises(InvalidError, match="is not encrypted"):
        AdminClient("http://127.0.0.1:1", Identity("word", tls), 1000)
