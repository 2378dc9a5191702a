"""Neither a server nor a training tries to reach anybody, or leaves at home what is not its own."""

import sys
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.server import CNNSVC
from tests.images import write_image_folder
from tests.sealed import Attempt, read_attempts, run_sealed

pytestmark = pytest.mark.slow

_CACHE: Final = Path(".cache/cnnsvc")
"""The default of --cache-dir."""
_TINY: Final = {
    **{"--arch": "C: 4n d20% D: 8nR", "--image-size": "16", "--augment": "none", "--device": "cpu"},
    **{"--epochs": "3", "--batch-size": "8", "--learning-rate": "0.02"},
}
"""Large enough to learn coloured shapes."""


def test_a_server_reaches_for_nobody(tmp_path: Path) -> None:
    """From start to SIGTERM, over both doors and a change of versions; at home there is only its cache."""
    sealed = run_sealed([sys.executable, "-m", "tests.e2e.server_life", tmp_path / "models"], tmp_path)
    assert sealed.status == 0, sealed.output
    assert sealed.attempts == []
    assert {path.parent for path in sealed.in_home} == {_CACHE}


def test_a_training_reaches_for_nobody(tmp_path: Path) -> None:
    """From the folder to the bundle; at home there are Matplotlib's list of fonts and Keras' settings at most."""
    write_image_folder(tmp_path / "data")
    flags = [word for pair in _TINY.items() for word in pair]
    models_dir = tmp_path / "models"
    sealed = run_sealed(
        [CNNSVC, "train", tmp_path / "data", "--name", "shapes", "--models-dir", models_dir, *flags], tmp_path
    )
    assert sealed.status == 0, sealed.output
    assert (models_dir / "shapes/1/manifest.json").is_file()
    assert sealed.attempts == []
    assert {path.parent for path in sealed.in_home} <= {Path(".cache/matplotlib"), Path(".keras")}


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("socket.socket().connect(('192.0.2.1', 80))", ("connect", "192.0.2.1 port 80")),
        ("socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('192.0.2.1', 9))", ("sendto", "192.0.2.1 port 9")),
        ("socket.socket(socket.AF_INET6).connect(('2001:db8::1', 443))", ("connect", "2001:db8::1 port 443")),
    ],
)
def test_who_does_is_found(program: str, expected: tuple[str, str], tmp_path: Path) -> None:
    """A program that connects elsewhere is named, with the call and the address."""
    sealed = run_sealed([sys.executable, "-c", f"import socket\n{program}"], tmp_path)
    assert sealed.status == 1, sealed.output
    assert sealed.attempts == [Attempt(Path(sys.executable).name, *expected)]


def test_a_look_up_of_a_name_is_found(tmp_path: Path) -> None:
    """Whichever way the C library takes, to another process or to port 53, even of this machine."""
    program = "import socket\nsocket.getaddrinfo('cnnsvc.invalid', 80)"
    sealed = run_sealed([sys.executable, "-c", program], tmp_path)
    assert "gaierror" in sealed.output
    assert sealed.attempts


def test_what_is_left_at_home_is_found(tmp_path: Path) -> None:
    """A file below HOME is named."""
    program = "from pathlib import Path\nPath('~/device-id').expanduser().touch()"
    assert run_sealed([sys.executable, "-c", program], tmp_path).in_home == [Path("device-id")]


def test_what_strace_writes_is_understood() -> None:
    """Calls that others interrupt, several messages in one call, and families that nobody thought of."""
    log = """
1<a> connect(3, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("127.0.0.53")}, 16 <unfinished ...>
2<b> sendmmsg(4, [{msg_hdr={msg_name={sa_family=AF_INET6, sin6_port=htons(1), sin6_flowinfo=htonl(0), \
inet_pton(AF_INET6, "::ffff:127.0.0.1", &sin6_addr), sin6_scope_id=0}}}, {msg_hdr={msg_name={sa_family=AF_INET, \
sin_port=htons(2), sin_addr=inet_addr("198.51.100.7")}}}], 2, 0) = 2
1<a> <... connect resumed>) = 0
1<a> connect(3, {sa_family=AF_VSOCK, svm_cid=0x2, svm_port=0x1}, 16) = -1 ENODEV (No such device)
1<a> connect(3, {sa_family=AF_UNIX, sun_path="/var/run/nscd/socket"}, 110) = -1 ENOENT (No such file or directory)
1<a> connect(3, {sa_family=AF_UNIX, sun_path="/tmp/bus"}, 110) = 0
1<a> ???( <unfinished ...>
1<a> +++ exited with 0 +++"""
    assert list(read_attempts(log.strip())) == [
        Attempt("a", "connect", "127.0.0.53 port 53"),
        Attempt("b", "sendmmsg", "198.51.100.7 port 2"),
        Attempt("a", "connect", "AF_VSOCK, svm_cid=0x2, svm_port=0x1"),
        Attempt("a", "connect", 'sun_path="/var/run/nscd/socket"'),
    ]
    with pytest.raises(ValueError, match="strace wrote"):
        list(read_attempts("strace: something else"))
