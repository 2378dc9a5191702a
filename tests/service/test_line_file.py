"""A file of lines: nothing half written, nothing larger than is allowed, the last five kept."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from service.line_file import NUM_KEPT, LineFile


def test_lines_are_appended(tmp_path: Path) -> None:
    """What an earlier process wrote stays, and only the owner may read it."""
    path = tmp_path / "log"
    for line in (b"one\n", b"two\n"):
        file = LineFile(path, 1000)
        file.append(line)
        file.close()
    assert path.read_bytes() == b"one\ntwo\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_full_file_gives_way(tmp_path: Path) -> None:
    """None becomes larger than the limit, every line is whole, and the oldest past the fifth are gone."""
    file = LineFile(tmp_path / "log", 100)
    lines = [b"%030d\n" % number for number in range(40)]
    for line in lines:
        file.append(line)
    file.close()
    names = ["log", *(f"log.{number}" for number in range(1, NUM_KEPT + 1))]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    kept = [(tmp_path / name).read_bytes() for name in reversed(names)]
    assert max(map(len, kept)) <= 100
    assert b"".join(kept).splitlines(keepends=True) == lines[-16:]


def test_a_line_longer_than_a_file(tmp_path: Path) -> None:
    """It has a file to itself."""
    file = LineFile(tmp_path / "log", 10)
    for line in (b"a\n", b"b" * 50 + b"\n", b"c\n"):
        file.append(line)
    file.close()
    assert [(tmp_path / name).read_bytes()[:1] for name in ("log.2", "log.1", "log")] == [b"a", b"b", b"c"]


FULL_DISK = f"""
import resource, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from pathlib import Path
from service.line_file import LineFile
file = LineFile(Path(sys.argv[1]), 10**6)
file.append(b"x" * 9 + b"\\n")
resource.setrlimit(resource.RLIMIT_FSIZE, (15, resource.RLIM_INFINITY))
for _ in range(3):
    try:
        file.append(b"y" * 9 + b"\\n")
    except OSError as error:
        print(error.strerror)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
file.append(b"z" * 9 + b"\\n")
"""


@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_FSIZE)[1] != resource.RLIM_INFINITY, reason="files are limited")
def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    """Where the system takes a part of a line only, that part is taken back, and later lines are whole."""
    finished = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path / "log")], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert len(finished.stdout.splitlines()) == 3
    assert (tmp_path / "log").read_bytes() == b"x" * 9 + b"\n" + b"z" * 9 + b"\n"


def test_a_file_that_cannot_rotate(tmp_path: Path) -> None:
    """The line is lost with an OSError, and the next one goes on once the trouble is over."""
    path = tmp_path / "log"
    file = LineFile(path, 10)
    file.append(b"12345678\n")
    (tmp_path / "log.4").write_bytes(b"older\n")
    (tmp_path / "log.5").mkdir()
    with pytest.raises(OSError, match="directory"):
        file.append(b"abcdefgh\n")
    (tmp_path / "log.5").rmdir()
    file.append(b"ABCDEFGH\n")
    file.close()
    assert (path.read_bytes(), (tmp_path / "log.1").read_bytes()) == (b"ABCDEFGH\n", b"12345678\n")
