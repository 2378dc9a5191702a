"""A virtual environment a peer, made with uv under .cache/bench and kept while its requirements stay the same."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parent.parent
CACHE: Final = REPOSITORY / ".cache" / "bench"
OURS: Final = "cnnsvc"
_OUR_CODE: Final = ("cnnsvc", "service")


class InstallError(Exception):
    """The packages of a peer cannot be installed; the text is uv's."""


def environment(name: str, requirements: Path) -> Path:
    """The Python of the environment that holds these requirements, installed where it is not. Raises InstallError."""
    folder = CACHE / name
    python, stamp = folder / "bin" / "python", folder / "installed"
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        _run_uv("venv", "--quiet", "--python", sys.executable, str(folder))
        _run_uv("pip", "install", "--quiet", "--python", str(python), "--requirements", str(requirements))
        if name == OURS:  # its own code as it stands here, whatever is changed later
            _run_uv("pip", "install", "--quiet", "--python", str(python), "--no-deps", "--editable", str(REPOSITORY))
        stamp.write_text(wanted)
    return python


def installed_mib(name: str) -> float:
    """What the environment takes on disk, byte-code included; for cnnsvc with its own code, which runs from here."""
    folders = [CACHE / name, *(REPOSITORY / package for package in _OUR_CODE if name == OURS)]
    files = (file for folder in folders for file in folder.rglob("*"))
    return sum(file.lstat().st_size for file in files if file.is_file() and not file.is_symlink()) / 2**20


def _run_uv(*words: str) -> None:
    # With byte-code, as a container image would have it; without it the first start alone would be slower.
    environment = {**os.environ, "UV_COMPILE_BYTECODE": "1"}
    run = subprocess.run([_find_uv(), *words], env=environment, stderr=subprocess.PIPE, text=True)
    if run.returncode != 0:
        raise InstallError(run.stderr.strip())


def _find_uv() -> str:
    own = REPOSITORY / ".venv" / "uv" / "bin" / "uv"
    found = os.environ.get("UV") or (str(own) if own.is_file() else shutil.which("uv"))
    if not found:
        raise SystemExit("uv was not found; run `make setup`, or name it in the environment variable UV")
    return found
