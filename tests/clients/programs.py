"""The programs of callers in other languages, as requirements/clients.txt locks them."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
_FOLDER: Final = ROOT / ".venv" / "clients" / "bin"


def run(
    *words: str | Path, cwd: Path = ROOT, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs one of them, however it ends; the test is skipped where they are not installed."""
    program = _FOLDER / words[0]
    if not program.exists():
        pytest.skip(f"{words[0]} is not installed: make clients")
    path = os.pathsep.join([str(_FOLDER), (environment or os.environ)["PATH"]])
    return subprocess.run(
        [str(program), *map(str, words[1:])],
        cwd=cwd,
        env={**os.environ, **(environment or {}), "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )


def printed(*words: str | Path, cwd: Path = ROOT, environment: Mapping[str, str] | None = None) -> str:
    """What it prints when it ends well, as it must."""
    finished = run(*words, cwd=cwd, environment=environment)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout
