"""The shell examples of the documentation: finding them, and running them in a folder like the one they speak of."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.images import write_image

ROOT: Final = Path(__file__).parent.parent
_FENCE: Final = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^\n]+) -->\n)?```sh\n(?P<script>.*?)^```$", re.MULTILINE | re.DOTALL
)
_COLOURS: Final = {"daisy": "yellow", "rose": "red", "tulip": "violet"}
_QUICK: Final = {"CNNSVC_EPOCHS": "6", "CNNSVC_IMAGE_SIZE": "32", "CNNSVC_BATCH_SIZE": "8", "TF_CPP_MIN_LOG_LEVEL": "2"}
"""So that the commands themselves stay as a person would type them."""


@dataclass(frozen=True)
class Example:
    script: str
    not_run: str
    """Why it cannot be run here, or ""."""


def documents() -> list[Path]:
    """Every page that people wrote."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def examples(document: Path) -> list[Example]:
    """The `sh` blocks of a page, in order."""
    found = _FENCE.finditer(document.read_text(encoding="utf-8"))
    return [Example(match["script"], match["reason"] or "") for match in found]


def write_world(folder: Path) -> None:
    """flowers/<class>/ to train on, flowers-test/<class>/ to judge on, and the pictures that the examples name."""
    for name, colour in _COLOURS.items():
        (folder / "flowers" / name).mkdir(parents=True)
        for index in range(24):
            write_image(folder / "flowers" / name / f"{index:03d}.jpg", colour, 64, seed=index)
        write_image(folder / f"{name}.jpg", colour, 64, seed=1000)
        (folder / "flowers-test" / name).mkdir(parents=True)
        for index in range(8):
            write_image(folder / "flowers-test" / name / f"{index:03d}.jpg", colour, 64, seed=3000 + index)
    (folder / "holiday-pictures").mkdir()
    for index in range(3):
        write_image(folder / "holiday-pictures" / f"{index}.jpg", "red", 64, seed=2000 + index)


class Shell:
    """Runs examples in one folder; one with `cnnsvc serve` stays in the background until the next one of its kind.

    The default ports may be in use on this machine, so they are exchanged for free ones: in the words of an example,
    and for `cnnsvc classify`, `explain` and `bench` by a server that it does not name.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._grpc_port, self._http_port = _free_port(), _free_port()
        self._server: subprocess.Popen[str] | None = None
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        ports = {"CNNSVC_GRPC_PORT": str(self._grpc_port), "CNNSVC_HTTP_PORT": str(self._http_port)}
        ports["CNNSVC_URL"] = f"http://127.0.0.1:{self._http_port}"
        self._environment = os.environ | _QUICK | ports | {"PATH": path, "COLUMNS": "120"}

    def run(self, script: str) -> str:
        """What it prints. An AssertionError where it fails."""
        local = self._localised(script)
        if re.search(r"^cnnsvc serve ", script, re.MULTILINE):
            return self._serve(local)
        finished = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", local],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=280,
        )
        assert finished.returncode == 0, f"{script}ended with {finished.returncode}:\n{finished.stdout}"
        return finished.stdout

    def close(self) -> None:
        """Ends the server; its status must be 0."""
        if self._server is not None:
            self._server.terminate()
            assert self._server.wait(timeout=60) == 0
            assert self._server.stderr is not None
            self._server.stderr.close()
            self._server = None

    def _localised(self, script: str) -> str:
        script = script.replace("127.0.0.1:8500", f"127.0.0.1:{self._grpc_port}")
        script = script.replace("127.0.0.1:8501", f"127.0.0.1:{self._http_port}")
        # Ports that an example chooses itself.
        script = re.sub(r"--(grpc|http)-port \d+", r"--\1-port 0", script)
        server = f"cnnsvc classify --server 127.0.0.1:{self._grpc_port} "
        script = re.sub(r"^cnnsvc classify (?!.*--(?:server|bundle))", server, script, flags=re.MULTILINE)
        url = f"http://127.0.0.1:{self._http_port}"
        script = re.sub(r"^cnnsvc bench (?!.*://)", f"cnnsvc bench {url} ", script, flags=re.MULTILINE)
        explain = f"cnnsvc explain --server {url} "
        script = re.sub(r"^cnnsvc explain (?!.*--(?:server|bundle))", explain, script, flags=re.MULTILINE)
        # An error is one for curl too.
        return script.replace("curl ", "curl --silent --show-error --fail-with-body --max-time 30 ")

    def _serve(self, script: str) -> str:
        """Starts it and waits until it is ready: its log so far."""
        self.close()
        self._server = subprocess.Popen(
            ["bash", "-c", f"exec {script.strip()}"],
            cwd=self._folder,
            env=self._environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._server.stderr is not None
        log = ""
        for line in self._server.stderr:
            log += line
            if line.endswith((" ready\n", '"message": "ready"}\n', " workers serve\n")):
                threading.Thread(target=_drain, args=(self._server,), daemon=True).start()
                return log
        raise AssertionError(f"{script} ended with {self._server.wait()}:\n{log}")


@contextlib.contextmanager
def shell(folder: Path) -> Iterator[Shell]:
    """A shell in this folder, its server ended on the way out."""
    opened = Shell(folder)
    try:
        yield opened
    finally:
        opened.close()


def copy_world(world: Path, folder: Path, *, with_models: bool) -> None:
    """The world for one page; with what was trained in it, or for the page to train."""
    ignored = None if with_models else shutil.ignore_patterns("models")
    shutil.copytree(world, folder, ignore=ignored, dirs_exist_ok=True)


def _drain(server: subprocess.Popen[str]) -> None:
    """A full pipe would stop the server."""
    with contextlib.suppress(ValueError):  # closed while it was read
        for _ in server.stderr or ():
            pass


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
