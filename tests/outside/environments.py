"""Environments that are none of ours: foreign clients with their locked packages, and the wheel as a user installs it.

They lie under .cache/outside, are made once, and again when what they are made of changes; several processes of a test
run may ask for the same one.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_CACHE: Final = ROOT / ".cache" / "outside"
_UV: Final = Path(sys.executable).with_name("uv")
_REQUIREMENTS: Final = ROOT / "requirements"


def client_python(name: str) -> Path:
    """The Python of the environment that holds requirements/clients/<name>.txt and nothing of ours."""
    requirements = _REQUIREMENTS / "clients" / f"{name}.txt"
    return _environment(name, [requirements], lambda python: _install(python, "-r", requirements)) / "python"


def served_from_wheel() -> Path:
    """The cnnsvc command of an environment with the locked serving packages and our wheel."""
    sources = [ROOT / "pyproject.toml", _REQUIREMENTS / "serve.txt"]
    for package in ("cnnsvc", "service", "training"):
        sources += [path for path in sorted((ROOT / package).rglob("*")) if path.is_file() and path.suffix != ".pyc"]
    return _environment("wheel", sources, _install_wheel) / "cnnsvc"


def _environment(name: str, sources: Iterable[Path], fill: Callable[[Path], None]) -> Path:
    """The folder of its programs."""
    _CACHE.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(sys.version.encode())
    for source in sources:
        digest.update(str(source.relative_to(ROOT)).encode() + source.read_bytes())
    folder = _CACHE / name
    stamp = folder / "made-of"
    with (_CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.is_file() or stamp.read_text() != digest.hexdigest():
            shutil.rmtree(folder, ignore_errors=True)
            _run(_UV, "venv", "--quiet", "--python", sys.executable, folder)
            fill(folder / "bin" / "python")
            stamp.write_text(digest.hexdigest())
    return folder / "bin"


def _install_wheel(python: Path) -> None:
    dist = python.parent / "dist"
    _run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", dist, ROOT)
    (wheel,) = dist.glob("cnnsvc-*.whl")
    _install(python, "--require-hashes", "-r", _REQUIREMENTS / "serve.txt")
    _install(python, wheel)


def _install(python: Path, *what: object) -> None:
    _run(_UV, "pip", "install", "--quiet", "--no-deps", "--python", python, *what)


def _run(*words: object) -> None:
    environment = {**os.environ, "UV_COMPILE_BYTECODE": "1"}
    environment.pop("PYTHONPATH", None)
    finished = subprocess.run(
        [*map(str, words)], cwd="/", env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
