"""The programs of callers in other languages, as requirements/clients/languages.txt locks them."""

import os
import subprocess
from pathlib import Path
from typing import Final

from tests.outside.environments import client_python

ROOT: Final = Path(__file__).parents[2]


def run(*words: str | Path, cwd: Path = ROOT, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs one of them, or another program that finds them on its path and before that what is in the folder `path`."""
    folders = [str(path)] if path else []
    environment = os.environ | {
        "PATH": os.pathsep.join([*folders, str(client_python("languages").parent), os.environ["PATH"]])
    }
    return subprocess.run(
        [str(word) for word in ("/usr/bin/env", *words)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )


def printed(*words: str | Path, cwd: Path = ROOT, path: Path | None = None) -> str:
    """What it prints when it ends well, as it must."""
    finished = run(*words, cwd=cwd, path=path)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout
