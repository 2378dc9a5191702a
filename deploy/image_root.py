"""Folders that stand for container images: made with debootstrap, entered with chroot in namespaces of their own."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PROGRAMS: Final = {"debootstrap": "debootstrap", "unshare": "util-linux", "nsenter": "util-linux", "ip": "iproute2"}
"""What is run, and the Debian package that has it."""

_BASE: Final = re.compile(r"python:(3\.\d+)-slim-(\w+)")
_PATH: Final = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
_SETTINGS: Final = re.compile(r"PIP_\w+|SSL_CERT_FILE|REQUESTS_CA_BUNDLE|(HTTP|HTTPS|NO)_PROXY", re.IGNORECASE)


@dataclass
class Root:
    """A root folder with what its Dockerfile steps have set so far."""

    path: Path
    variables: dict[str, str] = field(default_factory=lambda: {"PATH": _PATH})
    folder: str = "/"
    user: str = "0:0"

    def inside(self, path: str) -> Path:
        """A path in the image, relative to its working folder, as a path of this machine."""
        return self.path / os.path.normpath(Path(self.folder) / path).lstrip("/")


def missing_programs() -> list[str]:
    """Debian packages to install before a rehearsal can run."""
    return sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None})


def make_base(image: str, folder: Path) -> None:
    """Debian's Python where python:<version>-slim-<suite> has its own. Raises ValueError for another image."""
    found = _BASE.fullmatch(image)
    if found is None:
        raise ValueError(f"base image {image} cannot be rehearsed; expected python:3.x-slim-<Debian suite>")
    version, suite = found.groups()
    command = ["debootstrap", "--variant=minbase", "--include=python3-venv,ca-certificates", suite, str(folder)]
    made = subprocess.run(command, check=False, capture_output=True, text=True)
    if made.returncode:
        raise RuntimeError(f"debootstrap ended with {made.returncode}:\n{made.stdout[-2000:]}{made.stderr}")
    if not (folder / f"usr/bin/python{version}").exists():
        raise ValueError(f"base image {image} cannot be rehearsed: Debian {suite} has another Python")
    (folder / "usr/local/bin/python").symlink_to(f"/usr/bin/python{version}")
    # What a slim image lacks too.
    for unused in (
        "var/cache/apt",
        "var/lib/apt/lists",
        *(f"usr/share/{name}" for name in ("doc", "info", "locale", "man")),
    ):
        shutil.rmtree(folder / unused)


def copy_root(source: Path, target: Path) -> None:
    """A folder with its links and devices, which shutil would read as files."""
    subprocess.run(["cp", "--archive", "--no-target-directory", source, target], check=True)


def lend_network(root: Root) -> dict[str, str]:
    """Gives a root this machine's name resolution, certificates and pip settings: variables for its commands."""
    variables = {name: value for name, value in os.environ.items() if _SETTINGS.fullmatch(name)}
    # Beside pip.conf may lie what it names, such as constraints.
    pip_files = map(str, Path("/etc/xdg/pip").glob("*"))
    files = ["/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", *pip_files, *variables.values()]
    for file in {Path(name) for name in files if name.startswith("/") and Path(name).is_file()}:
        _copy(file, root.path / str(file).lstrip("/"))
    for file in (Path.home() / ".config/pip/pip.conf", Path.home() / ".pip/pip.conf"):
        if file.is_file():
            _copy(file, root.path / "root/.config/pip/pip.conf")
    return variables


def run_in(root: Root, words: Sequence[str], variables: Mapping[str, str]) -> None:
    """Runs a command of the image to its end. Raises RuntimeError with its output where it fails."""
    command = [*_enter(root, [], []), *_with(root, words, variables)]
    finished = subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if finished.returncode:
        raise RuntimeError(f"{' '.join(words)} ended with {finished.returncode}:\n{finished.stdout}{finished.stderr}")


class Container:
    """One process of an image, its first, with a network of its own and a root folder that nobody can write."""

    def __init__(self, root: Root, words: Sequence[str], *, volume: tuple[Path, str], log: Path) -> None:
        """`volume` is a folder of this machine and where the image sees it, read-only."""
        self._root = root
        source, target = volume
        setup = [
            f'mount --bind -o ro "{source}" "{root.path}{target}"',
            f'mount -t tmpfs tmpfs "{root.path}/tmp"',
            "ip link set lo up",
        ]
        with log.open("w") as stream:
            self._process = subprocess.Popen(
                [*_enter(root, ["--net"], setup), *_with(root, words, {})], stderr=stream, stdin=subprocess.DEVNULL
            )
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def pid(self) -> int:
        """The process as this machine numbers it. Raises RuntimeError where it has ended."""
        unshare = self._process.pid
        children = Path(f"/proc/{unshare}/task/{unshare}/children")
        while self._process.poll() is None:
            if words := children.read_text().split():
                return int(words[0])
            time.sleep(0.01)  # it has not forked yet
        raise RuntimeError(f"the container ended with {self._process.returncode}:\n{self.log}")

    def run(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """A command inside the running container, as its user, like `docker exec`."""
        user, group = self._root.user.split(":")
        enter = ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--net", "--root", "--wd"]
        command = [*enter, f"--setuid={user}", f"--setgid={group}", *_with(self._root, words, {})]
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)

    def ask(self, program: str, *arguments: str) -> str:
        """What a Python program of this machine prints that is run in the container's network."""
        command = ["nsenter", f"--target={self.pid}", "--net", sys.executable, "-c", program, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout

    def stop(self) -> int:
        """SIGTERM, as `docker stop` sends it: the exit status."""
        os.kill(self.pid, signal.SIGTERM)
        return self._process.wait(timeout=60)

    def kill(self) -> None:
        """Ends what still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def num_bytes(folder: Path) -> int:
    """What a folder takes on disk, links counted once."""
    taken = subprocess.run(["du", "--summarize", "--bytes", folder], check=True, capture_output=True, text=True)
    return int(taken.stdout.split()[0])


def _enter(root: Root, namespaces: list[str], setup: list[str]) -> list[str]:
    """Mounts end with the namespace; the root folder is read-only where it has a network of its own."""
    script = [
        "set -e",
        f'mount --bind "{root.path}" "{root.path}"',
        f'mount -t proc proc "{root.path}/proc"',
        f'mount --rbind /dev "{root.path}/dev"',
        f'mount --rbind -o ro /sys "{root.path}/sys"',
        *setup,
        *([f'mount -o remount,bind,ro "{root.path}"'] if setup else []),
        f'exec chroot --userspec={root.user} --groups= "{root.path}" "$@"',
    ]
    unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", *namespaces]
    return [*unshare, "sh", "-c", "\n".join(script), "sh"]


def _with(root: Root, words: Sequence[str], variables: Mapping[str, str]) -> list[str]:
    """The command with the variables and the working folder of the image, and nothing of this machine's."""
    assignments = [f"{name}={value}" for name, value in {**variables, **root.variables}.items()]
    return ["/usr/bin/env", "-i", f"--chdir={root.folder}", *assignments, *words]


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
