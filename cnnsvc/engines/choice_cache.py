"""What was chosen for a bundle on this kind of CPU, one small file each, so that the next start need not time again."""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import platformdirs

from cnnsvc.bundle import Bundle, write_atomically
from cnnsvc.manifest import MANIFEST_NAME

T = TypeVar("T")

_PROGRAMS: Final = ("cnnsvc", "openvino", "onnxruntime", "onnxruntime-gpu")
_CPU_FIELDS: Final = ("vendor_id", "cpu family", "model", "model name", "stepping", "flags", "Features", "CPU part")
"""Of the first processor in /proc/cpuinfo, x86 and Arm."""
CPU_INFO: Final = Path("/proc/cpuinfo")

_log = logging.getLogger("cnnsvc.engines")


def default_cache_dir() -> Path | None:
    """The user's own, such as ~/.cache/cnnsvc; None for a user without a home, as in a container."""
    try:
        path = platformdirs.user_cache_path("cnnsvc", appauthor=False)
    except RuntimeError:
        return None
    return path if path.is_absolute() else None


class ChoiceCache:
    """Lives in a folder that may be absent, read-only or somebody else's: then nothing is remembered."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def key(self, bundle: Bundle, asked: object) -> str:
        """Everything on which the choice depends: bundle, CPU, this program, runtimes, what was asked."""
        facts = [(bundle.path / MANIFEST_NAME).read_bytes(), cpu_description().encode(), repr(asked).encode()]
        facts += [f"{program} {_version(program)}".encode() for program in _PROGRAMS]
        return hashlib.sha256(b"\0".join(facts)).hexdigest()

    @contextlib.contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """Waits until no other process chooses for this key; where nothing can be written nobody waits."""
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                self._folder.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context(self._file(key).with_suffix(".lock").open("w"))
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def read(self, key: str, kind: type[T]) -> T | None:
        """None where nothing is remembered, or nothing that can be understood."""
        try:
            return msgspec.json.decode(self._file(key).read_bytes(), type=kind)
        except (OSError, msgspec.MsgspecError):
            return None

    def write(self, key: str, choice: Any) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self._file(key), msgspec.json.format(msgspec.json.encode(choice), indent=2).decode())
        except OSError as error:
            _log.info("the choice of engine is not remembered, so the next start takes longer: %s", error)

    def _file(self, key: str) -> Path:
        return self._folder / f"engine-{key[:32]}.json"


def cpu_description(cpu_info: Path = CPU_INFO) -> str:
    """What tells one kind of CPU from another; "" where the system does not say."""
    try:
        first = cpu_info.read_text().partition("\n\n")[0]
    except OSError:
        return ""
    lines = (line.partition(":") for line in first.splitlines())
    return "\n".join(f"{name.strip()}:{value.strip()}" for name, _, value in lines if name.strip() in _CPU_FIELDS)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"
