"""The flags of `cnnsvc bench`; what it measures is in tests/cnnsvc/load/ and tests/e2e/test_bench.py."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cnnsvc.bench_command import app, read_concurrencies
from cnnsvc.errors import InvalidError


def test_several_concurrencies() -> None:
    """Each once, in the order given."""
    assert read_concurrencies("8") == [8]
    assert read_concurrencies("32,1,8,1") == [32, 1, 8]


@pytest.mark.parametrize("words", ["", "0", "a", "1,", "1, 2", "-1", "1025", "99999", "1.5"])
def test_what_is_no_concurrency(words: str) -> None:
    """An error that shows what came."""
    with pytest.raises(InvalidError, match="--concurrency"):
        read_concurrencies(words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a.jpg", "--size", "10x10"], "and not both"),
        (["--svg", "nowhere/a.svg"], "there is no folder"),
        (["http://127.0.0.1:1", "rose.jpg"], "rose.jpg is not there"),
        (["--stream"], "--stream needs gRPC"),
        (["--tls"], "is not encrypted; expected https:// or grpcs://"),
        (["--token-file", "none"], "the token file none cannot be read"),
        (["https://127.0.0.1:1", "--server-ca", "none"], "none cannot be used for TLS"),
        (["--client-key", "none"], "expected --client-certificate and --client-key"),
    ],
)
def test_wrong_calls_are_refused_before_any_load(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flags that contradict each other or lead nowhere, and files that are not there."""
    monkeypatch.chdir(tmp_path)
    Path("a.jpg").write_bytes(b"image")
    error = CliRunner().invoke(app, words).exception
    assert isinstance(error, InvalidError)
    assert said in str(error)
