"""Searches as a person starts them, tiny ones on shapes, and what their processes leave behind.

Also a program: `python -m tests.training.search.searches` holds a Ray cluster of two nodes of one CPU each, prints its
address, and ends it when standard input ends.
"""

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

import pytest

TINY: Final = ["--networks", "4", "--epochs", "4", "--grace-epochs", "2", "--image-size", "16", "--batch-size", "8"]
TINY_NETWORKS: Final = ["--max-start-filters", "8", "--device", "cpu"]
TIMEOUT_S: Final = 900
"""Each trial loads Ray and TensorFlow anew, which takes a minute on a machine that does other things too."""

_LISTENS: Final = "0A"
_LOOPBACK: Final = ("0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000")
"""As /proc/net/tcp and tcp6 write 127.0.0.1, ::ffff:127.0.0.1 and ::1."""


def require_ray() -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray Tune is not installed: install the extra cnnsvc[search]")


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """For TMPDIR: below it Ray makes sockets, whose paths may have no more than 107 characters."""
    folder = Path(tempfile.mkdtemp(prefix="cs-", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def search(folder: Path, tmp: Path, *flags: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """`cnnsvc search folder/shapes` in that folder, at home in folder/home; killed with its Ray if the block fails."""
    (folder / "home").mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "TUNE_", "CNNSVC_"))}
    environment = kept | {"TMPDIR": str(tmp), "HOME": str(folder / "home")} | variables
    command = [sys.executable, "-c", "from cnnsvc.cli import app; app()", "search", "shapes", *flags]
    with (
        (folder / "stdout").open("w") as stdout,
        subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            # A shell that starts the tests in its background has them, and so this program, ignore Ctrl-C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as process,
    ):
        try:
            yield process
        finally:
            if process.poll() is None:
                below = descendants(process.pid)
                process.kill()
                wait_until_gone(below)


def read_until(stream: IO[str] | None, *wanted: str) -> str:
    """What is said up to the first line that holds one of these; an AssertionError where none does."""
    assert stream is not None
    said = ""
    for line in stream:
        said += line
        if any(one in line for one in wanted):
            return said
    raise AssertionError(f"{wanted} was not said, but:\n{said}")


def descendants(pid: int) -> set[tuple[int, str]]:
    """The processes below this one, each with the time of its start, since numbers are used again."""
    found: set[tuple[int, str]] = set()
    parents = {pid}
    processes = {number: fields for number in _numbers() if (fields := _stat(number))}
    while True:
        new = {number for number, fields in processes.items() if int(fields[1]) in parents} - parents
        if not new:
            return found
        parents |= new
        found |= {(number, processes[number][19]) for number in new}


def wait_until_gone(processes: set[tuple[int, str]], seconds: float = 180.0) -> None:
    """Raises AssertionError for one that stays. Two idle agents of Ray see only after a minute that all is over."""
    ends_at = time.monotonic() + seconds
    while left := [one for one in processes if _is_alive(*one)]:
        assert time.monotonic() < ends_at, f"still there: {left}"
        time.sleep(0.2)


def public_listeners(processes: set[tuple[int, str]]) -> list[str]:
    """Addresses other than the loopback one, in hexadecimal, at which these processes wait for connections."""
    sockets = {link for pid, _ in processes for link in _links(pid) if link.startswith("socket:")}
    lines = [line.split() for kind in ("tcp", "tcp6") for line in Path(f"/proc/net/{kind}").read_text().splitlines()]
    listening = [line[1] for line in lines if line[3] == _LISTENS and f"socket:[{line[9]}]" in sockets]
    assert listening, "Ray waits for nobody: were these its processes?"
    return [address for address in listening if address.partition(":")[0] not in _LOOPBACK]


def _links(pid: int) -> list[str]:
    links = []
    with contextlib.suppress(OSError):
        for file in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                links.append(str(file.readlink()))
    return links


def _numbers() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _stat(pid: int) -> list[str]:
    """The fields after the name, which is in brackets and may hold anything: state, parent, …"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _is_alive(pid: int, start: str) -> bool:
    fields = _stat(pid)
    return bool(fields) and fields[19] == start and fields[0] != "Z"


@contextlib.contextmanager
def two_nodes(tmp: Path) -> Iterator[dict[str, str]]:
    """A Ray cluster of two nodes: the environment of whoever may use it, its address as RAY_ADDRESS."""
    own = {
        "TMPDIR": str(tmp),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # listens on the loopback address alone
    }
    with subprocess.Popen(
        [sys.executable, "-m", __name__],
        env=os.environ | own,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            said = read_until(process.stdout, "address ")
            yield own | {"RAY_ADDRESS": said.split()[-1]}
        finally:
            processes = descendants(process.pid)
            assert process.stdin is not None
            process.stdin.close()
            process.wait(120)
            wait_until_gone(processes)


def _hold_two_nodes() -> None:
    import ray.cluster_utils

    cluster: Any = ray.cluster_utils.Cluster()
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1, num_gpus=0, include_dashboard=False, object_store_memory=100 * 2**20)
        cluster.wait_for_nodes()
        sys.stdout.write(f"address {cluster.address}\n")
        sys.stdout.flush()
        sys.stdin.read()
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    _hold_two_nodes()
