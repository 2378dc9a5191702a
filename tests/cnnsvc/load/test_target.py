"""The URL of a bench."""

import pytest

from cnnsvc.errors import InvalidError
from cnnsvc.load.target import DEFAULT_URL, Target, read_target


@pytest.mark.parametrize(
    ("url", "is_stream", "target"),
    [
        (DEFAULT_URL, False, Target("http", "127.0.0.1", 8501, "127.0.0.1:8501")),
        ("grpc://localhost:8500/", False, Target("grpc", "localhost", 8500, "localhost:8500")),
        ("grpc://[::1]:8500", True, Target("stream", "::1", 8500, "[::1]:8500")),
        ("https://localhost:1", False, Target("http", "localhost", 1, "localhost:1", is_encrypted=True)),
        ("grpcs://localhost:1", True, Target("stream", "localhost", 1, "localhost:1", is_encrypted=True)),
    ],
)
def test_a_url_is_a_server_and_a_protocol(url: str, is_stream: bool, target: Target) -> None:
    """The scheme tells HTTP from gRPC, and a switch makes one stream of that."""
    assert read_target(url, is_stream=is_stream) == target


@pytest.mark.parametrize(
    "url",
    [
        "https://host", "http://host", "http://:8501", "http://host:1/api/v1/classify", "http://host:1?model=a",
        "http://me@host:1", "http://host:99999", "ftp://host:1", "http://[::1:1", "://",
    ],
)  # fmt: skip
def test_other_urls_are_refused(url: str) -> None:
    """What cannot be meant is an error that names what is expected."""
    with pytest.raises(InvalidError, match="expected http://HOST:PORT, https://"):
        read_target(url, is_stream=False)


def test_there_is_no_stream_over_http() -> None:
    """The switch with the scheme of HTTP says so."""
    with pytest.raises(InvalidError, match="--stream needs gRPC"):
        read_target(DEFAULT_URL, is_stream=True)
