"""What was chosen for a bundle on this kind of CPU, one small file each, so that the next start need not time again."""

import hashlib
import importlib.metadata
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
import platformdirs

from cnnsvc.bundle import Bundle, write_atomically
from cnnsvc.manifest import MANIFEST_NAME

if TYPE_CHECKING:
    from cnnsvc.engines.choice import Asked

T = TypeVar("T")

_RUNTIMES: Final = ("openvino", "onnxruntime", "onnxruntime-gpu")
_CPU_FIELDS: Final = ("vendor_id", "cpu family", "model", "model name", "stepping", "flags", "Features", "CPU part")
"""Of the first processor in /proc/cpuinfo, x86 and Arm."""
CPU_INFO: Final = Path("/proc/cpuinfo")

_log = logging.getLogger("cnnsvc.engines")


def default_cache_dir() -> Path | None:
    """The user's own, such as ~/.cache/cnnsvc; None for a user without a home."""
    path = platformdirs.user_cache_path("cnnsvc", appauthor=False)
    return path if path.is_absolute() else None


class ChoiceCache:
    """Lives in a folder that may be absent, read-only or somebody else's: then nothing is remembered."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def key(self, bundle: Bundle, asked: "Asked") -> str:
        """Everything on which the choice depends: bundle, CPU, runtimes, what was asked."""
        facts = [(bundle.path / MANIFEST_NAME).read_bytes(), cpu_description().encode(), repr(asked).encode()]
        facts += [f"{runtime} {_version(runtime)}".encode() for runtime in _RUNTIMES]
        return hashlib.sha256(b"\0".join(facts)).hexdigest()

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
