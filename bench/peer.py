"""The systems that are compared: how each is installed and started, and the settings it is tried in."""

import contextlib
import os
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from bench import dialects, process_tree
from bench.dialects import Dialect
from bench.environments import CACHE, OURS, REPOSITORY

NUM_CORES: Final = len(os.sched_getaffinity(0))
PEERS_DIR: Final = REPOSITORY / "bench" / "peers"

Door = Literal["http", "grpc", "stream", "loop"]
"""loop is no server at all: the same decoding and inference in as many threads as cores."""


@dataclass(frozen=True)
class Setting:
    num_workers: int
    num_threads: int
    """Of one inference; of OpenVINO, inferences at once."""
    more: tuple[tuple[str, int], ...] = ()
    """Further variables that the peer reads."""

    def variables(self) -> dict[str, str]:
        counts = {"NUM_WORKERS": self.num_workers, "NUM_THREADS": self.num_threads, **dict(self.more)}
        return {name: str(number) for name, number in counts.items()}

    def __str__(self) -> str:
        counts = {"process": self.num_workers, "thread": self.num_threads, **dict(self.more)}
        return ", ".join(f"{number} {_plural(name, number)}" for name, number in counts.items())


def _plural(name: str, number: int) -> str:
    word = name.removeprefix("NUM_").removesuffix("S").replace("_", " ").lower()
    return word if number == 1 else f"{word}es" if word == "process" else f"{word}s"


_ONE: Final = Setting(1, NUM_CORES)
_EACH: Final = Setting(NUM_CORES, 1)
_SHARED: Final = Setting(1, 1)
_BOTH: Final = Setting(NUM_CORES, NUM_CORES)


@dataclass(frozen=True)
class Peer:
    name: str
    environment: str
    """Its folder under peers, and its virtual environment; "" for the loop."""
    command: tuple[str, ...]
    """What the environment's Python is given; {port} and {workers} are filled in."""
    door: Door = "http"
    dialect: Dialect = dialects.RAW
    settings: tuple[Setting, ...] = ()
    """Empty: as it comes."""
    artifact: str = ""
    """File of the bundle that it needs; "" is whichever the bundle offers."""

    @property
    def requirements(self) -> Path:
        if self.environment == OURS:
            return REPOSITORY / "requirements" / "serve.txt"
        return PEERS_DIR / self.environment / "requirements.txt"


_UVICORN: Final = ("-m", "uvicorn", "server:app", "--host", "127.0.0.1", "--port", "{port}", "--workers", "{workers}",
                   "--no-access-log", "--log-level", "warning")  # fmt: skip
_SERVER: Final = ("server.py",)
_CNNSVC: Final = ("-c", "from cnnsvc.cli import app; app()", "serve", "--bundle", "{bundle}", "--artifact",
                  "{artifact}", "--{door}-port", "{port}", "--{other}-port", "0", "--log-level", "warning")  # fmt: skip
_BENTOML: Final = ("-m", "bentoml", "serve", "server:Classifier", "--host", "127.0.0.1", "--port", "{port}")
_FLOAT32: Final = "model.onnx"
_INT8: Final = "model.int8.onnx"

REFERENCE: Final = "cnnsvc_http"
PEERS: Final = (
    Peer(REFERENCE, OURS, _CNNSVC, "http", dialects.CNNSVC),
    Peer("cnnsvc_grpc", OURS, _CNNSVC, "grpc"),
    Peer("cnnsvc_stream", OURS, _CNNSVC, "stream"),
    Peer("cnnsvc_http_float32", OURS, _CNNSVC, "http", dialects.CNNSVC, artifact=_FLOAT32),
    Peer("raw", "", (), "loop"),
    Peer("fastapi_onnxruntime", "fastapi_onnxruntime", _UVICORN, settings=(_ONE, _EACH, _SHARED, _BOTH)),
    Peer("fastapi_openvino", "fastapi_openvino", _UVICORN, settings=(_ONE, _EACH, _BOTH), artifact=_INT8),
    Peer("fastapi_tensorflow", "fastapi_tensorflow", _UVICORN, settings=(_ONE, _EACH, _SHARED)),
    Peer("grpc_onnxruntime", "grpc_onnxruntime", _SERVER, "grpc", settings=(_ONE, _EACH, _SHARED)),
    Peer("bentoml", "bentoml", _BENTOML, settings=(
        Setting(1, NUM_CORES, (("NUM_POOL_THREADS", 1),)), Setting(1, 1, (("NUM_POOL_THREADS", NUM_CORES),)),
        Setting(NUM_CORES, 1, (("NUM_POOL_THREADS", 1),)), Setting(NUM_CORES, 1, (("NUM_POOL_THREADS", NUM_CORES),)),
    )),
    Peer("litserve", "litserve", _SERVER, dialect=dialects.LITSERVE, settings=(
        Setting(1, NUM_CORES, (("NUM_API_SERVERS", 1),)), Setting(NUM_CORES, 1, (("NUM_API_SERVERS", 1),)),
        Setting(NUM_CORES, 1, (("NUM_API_SERVERS", NUM_CORES),)),
    )),
    Peer("kserve", "kserve", _SERVER, dialect=dialects.KSERVE, settings=(_ONE, _EACH, _BOTH)),
    Peer("pytriton", "pytriton", _SERVER, dialect=dialects.TRITON, settings=(_ONE, _EACH, _BOTH)),
)  # fmt: skip


class StartError(Exception):
    """The server ended, or did not answer in time; the text has the end of its log."""


@dataclass(frozen=True)
class Server:
    peer: Peer
    process: subprocess.Popen[bytes]
    port: int
    started: float
    """time.monotonic() before its process was."""
    log: Path

    def check_runs(self) -> None:
        """Raises StartError where it has ended."""
        if self.process.poll() is not None:
            raise StartError(f"ended with status {self.process.returncode}: {self.log_end()}")

    def log_end(self) -> str:
        return self.log.read_text(errors="replace").strip()[-1500:]


@contextlib.contextmanager
def serving(peer: Peer, python: Path, setting: Setting | None, bundle: Path, artifact: str) -> Iterator[Server]:
    """The server, started in a session of its own and ended with all that it started; not yet ready."""
    port = _free_port()
    words = _command(peer, setting, bundle, artifact, port)
    log = CACHE / f"{peer.name}.log"
    folder = REPOSITORY if peer.environment == OURS else PEERS_DIR / peer.environment
    started = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [python, *words],
            cwd=folder,
            env=_variables(peer, setting, bundle, port),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield Server(peer, process, port, started, log)
    finally:
        process_tree.end(process)


def _command(peer: Peer, setting: Setting | None, bundle: Path, artifact: str, port: int) -> list[str]:
    door = "http" if peer.door == "http" else "grpc"
    values = {
        "port": port,
        "workers": setting.num_workers if setting else 1,
        "bundle": bundle,
        "artifact": artifact,
        "door": door,
        "other": "grpc" if door == "http" else "http",
    }
    return [word.format(**values) for word in peer.command]


def _variables(peer: Peer, setting: Setting | None, bundle: Path, port: int) -> dict[str, str]:
    """Only what is named here: a setting of the caller's shell would reach some of the peers and not others."""
    home = CACHE / "home"
    home.mkdir(parents=True, exist_ok=True)
    variables = {
        "PATH": f"{CACHE / peer.environment / 'bin'}:{os.defpath}",
        "HOME": str(home),
        "BUNDLE": str(bundle),
        "PORT": str(port),
        "PYTHONUNBUFFERED": "1",
        "ORT_DISABLE_TELEMETRY": "1",
        "BENTOML_DO_NOT_TRACK": "True",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    if peer.environment == "pytriton":
        # Triton's backend loads libpython by name and must not find another one than this environment's.
        variables["LD_LIBRARY_PATH"] = str(sysconfig.get_config_var("LIBDIR"))
    return variables | (setting.variables() if setting else {})


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
