"""`cnnsvc fetch` as it runs in a pod: once before the server, and beside it."""

import subprocess
import time
from pathlib import Path

import pytest

from tests.bundles import write_bundle
from tests.e2e.server import CNNSVC, serving

pytestmark = pytest.mark.slow


def test_once(tmp_path: Path) -> None:
    """Status 0 and the models are there; with nothing to copy status 1 and a line that says so."""
    fetch = [str(CNNSVC), "fetch", f"file://{tmp_path}/store", str(tmp_path / "models")]
    refused = subprocess.run(fetch, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"cnnsvc: file://{tmp_path}/store cannot be read")
    write_bundle(tmp_path / "store")
    subprocess.run(fetch, check=True, timeout=60)
    assert (tmp_path / "models" / "flowers" / "1" / "manifest.json").exists()


def test_beside_a_server(tmp_path: Path) -> None:
    """A version that comes into the store is served within seconds; SIGTERM ends the copying with status 0."""
    write_bundle(tmp_path / "store")
    fetch = [str(CNNSVC), "fetch", f"file://{tmp_path}/store", str(tmp_path / "models")]
    subprocess.run(fetch, check=True, timeout=60)
    follower = subprocess.Popen([*fetch, "--interval-seconds", "1"])
    try:
        with serving("--models-dir", tmp_path / "models") as server:
            write_bundle(tmp_path / "store")
            give_up = time.monotonic() + 60
            while not any("serving flowers version 2" in line for line in server.log):
                assert time.monotonic() < give_up, "".join(server.log)
                time.sleep(0.1)
    finally:
        follower.terminate()
    assert follower.wait(timeout=30) == 0
