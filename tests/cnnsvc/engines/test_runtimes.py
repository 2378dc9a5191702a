"""Neither runtime calls out or leaves anything in the user's home."""

import json
import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from cnnsvc.manifest import ImageShape
from tests.bundles import dense_model

pytestmark = pytest.mark.slow

# Loads and runs a model, then looks up a name itself, so that silence before proves something.
_SCRIPT = """
import json, sys
watched = {"socket.getaddrinfo", "socket.gethostbyname", "socket.connect", "socket.sendto", "subprocess.Popen"}
seen = []
sys.addaudithook(lambda event, arguments: seen.append(event) if event in watched else None)

import socket, threading, time
from pathlib import Path
import numpy as np
from cnnsvc.engines.load import open_engine

engine = open_engine(sys.argv[1], Path(sys.argv[2]), num_threads=2)
engine.run(np.zeros((2, 8, 12, 3), np.uint8))
time.sleep(0.5)  # for what a thread would do behind our back
before, threads = list(seen), threading.active_count()
socket.getaddrinfo("127.0.0.1", 80)
print(json.dumps({"before": before, "control": seen[len(before):], "threads": threads}))
"""


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_nothing_is_sent_and_nothing_is_written(name: str, tmp_path: Path) -> None:
    """Import, load and run look up no name, open no connection, start no thread and write nothing below HOME."""
    onnx.save(dense_model(ImageShape(8, 12, 3), 4, seed=1), tmp_path / "model.onnx")
    home = tmp_path / "home"
    home.mkdir()
    # CI and the switch would silence the runtimes without our doing; the folders would hide what they write.
    silencers = ("CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
    environment = {key: value for key, value in os.environ.items() if key not in silencers}
    ran = subprocess.run(
        [sys.executable, "-c", _SCRIPT, name, str(tmp_path / "model.onnx")],
        env=environment | {"HOME": str(home)},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {"before": [], "control": ["socket.getaddrinfo"], "threads": 1}
    assert list(home.rglob("*")) == []
