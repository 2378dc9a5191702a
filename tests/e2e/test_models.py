"""A rollout as an operator sees it: `cnnsvc models` against a running server, one process or two."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from cnnsvc.client import Client
from cnnsvc.errors import CnnsvcError
from service.access import Scope
from tests.bundles import write_bundle
from tests.e2e.server import CNNSVC, Server, serving
from tests.encoded import encode
from tests.service.serving import falsify_golden_answers
from tests.tokens import write_tokens

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a token, and a first version of flowers in models."""
    write_tokens(tmp_path, Scope.ADMIN)
    write_bundle(tmp_path / "models")
    return tmp_path


@pytest.fixture(params=[1, 2])
def server(folder: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    """One process, or two workers."""
    arguments = ["--models-dir", folder / "models", *_tokens(folder), "--engine", "openvino"]
    until = " ready" if request.param == 1 else "all 2 workers serve"
    with serving(*arguments, "--workers", request.param, until=until) as server:
        yield server


def _tokens(folder: Path) -> tuple[object, ...]:
    return "--tokens-file", folder / "tokens.toml", "--public-scopes", "classify,metrics"


def _models(folder: Path, server: Server, *words: object) -> subprocess.CompletedProcess[str]:
    command = [CNNSVC, "models", *words, "--url", server.http_url, "--token-file", folder / "tester.token"]
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)


def _show(folder: Path, server: Server) -> dict[str, Any]:
    finished = _models(folder, server, "show", "flowers", "--json")
    assert finished.returncode == 0, finished.stderr
    found: dict[str, Any] = json.loads(finished.stdout)
    return found


def _until(is_so: Callable[[], bool]) -> None:
    for _ in range(150):
        if is_so():
            return
        time.sleep(0.1)
    raise AssertionError("not within 15 s")


def _defaults(server: Server, label: str = "") -> set[int]:
    """The versions that answer, over connections of their own: of two workers each has some."""
    found = set()
    for _ in range(12):
        with httpx.Client() as client:
            query = f"?label={label}" if label else ""
            answer = client.post(f"{server.http_url}/api/v1/classify{query}", content=encode("PNG"))
            found.add(answer.raise_for_status().json()["version"])
    return found


def test_a_rollout_and_back(folder: Path, server: Server) -> None:
    """A new version goes live by itself, label and rollback hold for every worker, a wrong version never answers."""
    write_bundle(folder / "models", seed=1)
    _until(lambda: _defaults(server) == {2})
    assert _models(folder, server, "label", "flowers", "canary", 2).returncode == 0
    _until(lambda: _tries(server, "canary") == {2})
    finished = _models(folder, server, "rollback", "flowers")
    assert "2 withdrawn: withdrawn, rolled back to version 1" in finished.stdout
    _until(lambda: _defaults(server) == {1} and _defaults(server, "canary") == {1})
    falsify_golden_answers(write_bundle(folder / "models", seed=2))
    _until(lambda: _show(folder, server)["versions"][0].get("fault") == "golden")
    # Each worker has its own word on it, and any of them may be asked.
    refused = "3 refused: golden, openvino answers 3 of 3 golden images wrong"
    _until(lambda: all(refused in _models(folder, server, "list").stdout for _ in range(3)))
    assert _defaults(server) == {1}
    with Client(server.grpc_address, label="canary") as client:
        assert client.classify(encode("PNG")).version == 1
        assert [model.labels for model in client.list_models()] == [("canary",)]
    _until(lambda: "version 3 of model flowers" in str(httpx.get(f"{server.http_url}/readyz").json()["warnings"]))


def _tries(server: Server, label: str) -> set[int]:
    try:
        return _defaults(server, label)
    except httpx.HTTPStatusError:  # a worker that has not heard of it yet
        return set()


def test_decisions_hold_after_a_restart(folder: Path) -> None:
    """In a state folder label and withdrawal are kept; another service cannot have the folder meanwhile."""
    write_bundle(folder / "models", seed=1)
    arguments = ["--models-dir", folder / "models", *_tokens(folder), "--engine", "openvino"]
    arguments += ["--state-dir", folder / "state"]
    with serving(*arguments) as server:
        assert _models(folder, server, "rollback", "flowers").returncode == 0
        assert _models(folder, server, "label", "flowers", "old", 1).returncode == 0
        other = subprocess.run(
            [*map(str, [CNNSVC, "serve", "--http-port", 0, "--grpc-port", 0, *arguments])],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (other.returncode, "is used by another service" in other.stderr) == (2, True)
    with serving(*arguments) as server:
        assert _defaults(server) == {1}
        assert _show(folder, server)["labels"] == {"old": 1}


def test_what_cannot_be_done(folder: Path, tmp_path: Path) -> None:
    """Errors are one line that says what came and what is allowed, with a status of failure."""
    arguments = ["--models-dir", folder / "models", "--engine", "openvino"]
    with serving(*arguments, *_tokens(folder)) as server:
        failed = _models(folder, server, "unload", "flowers", 1)
        assert (failed.returncode, failed.stderr.count("\n")) == (1, 1)
        assert "version 1 is the last of model flowers that serves" in failed.stderr
        failed = _models(folder, server, "split", "flowers", "stable")
        assert "'stable' is not a part of a split" in failed.stderr
        (tmp_path / "other").write_text("0" * 20)
        command = [CNNSVC, "models", "list", "--url", server.http_url, "--token-file", tmp_path / "other"]
        failed = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
        assert (failed.returncode, "an unknown token came" in failed.stderr) == (1, True)
    with serving(*arguments) as server:
        failed = _models(folder, server, "list")
        assert (failed.returncode, "has no admin API" in failed.stderr) == (1, True)


def test_the_folder_may_go_and_come_back(folder: Path) -> None:
    """While the folder of models is away nothing fails; when it is back a new version in it goes live."""
    models = folder / "models"
    with serving("--models-dir", models, "--engine", "openvino") as server:
        models.rename(folder / "away")
        _until(lambda: _metric(server, "cnnsvc_models_folder_readable") == 0)
        assert _defaults(server) == {1}
        assert httpx.get(f"{server.http_url}/readyz").status_code == 200
        write_bundle(folder / "away", seed=1)
        (folder / "away").rename(models)
        _until(lambda: _defaults(server) == {2})
        assert _metric(server, "cnnsvc_models_folder_readable") == 1


def _metric(server: Server, name: str) -> float:
    lines = httpx.get(f"{server.http_url}/metrics").text.splitlines()
    return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} "))


def test_an_engine_that_fails_in_service_is_rolled_back(tmp_path: Path) -> None:
    """A version whose engine fails on what callers send, though not on its golden images, answers for moments only."""
    write_bundle(tmp_path)
    white = encode("PNG", np.full((48, 64, 3), 255, np.uint8))
    arguments = ["--engine", "onnxruntime", "--probation-min-images", 5, "--state-dir", tmp_path / "state"]
    with serving("--models-dir", tmp_path, *arguments) as server, Client(server.grpc_address) as client:
        write_bundle(tmp_path, breaks_on_white=True)
        _until(lambda: client.classify(encode("PNG")).version == 2)
        num_failed = 0
        for _ in range(200):
            try:
                if client.classify(white).version == 1:
                    break
            except CnnsvcError:
                num_failed += 1
            time.sleep(0.02)
        else:
            raise AssertionError("it was not rolled back")
        assert num_failed  # how many depends on how soon the counts are looked at
        assert _metric(server, 'cnnsvc_model_rollbacks_total{cause="errors",model="flowers"}') == 1
        log = "".join(server.log)
        assert "version 2 of model flowers is withdrawn: it failed" in log
    shutil.rmtree(tmp_path / "state")


def test_a_model_that_gets_its_first_good_version_makes_ready(tmp_path: Path) -> None:
    """Health over both protocols follows: not ready with nothing good to serve, ready once there is."""
    falsify_golden_answers(write_bundle(tmp_path))
    arguments = ("--models-dir", tmp_path, "--engine", "openvino")
    with serving(*arguments, until="within 0.001") as server, Client(server.grpc_address) as client:
        assert httpx.get(f"{server.http_url}/readyz").status_code == 503
        assert not client.is_ready()
        write_bundle(tmp_path, seed=1)
        _until(client.is_ready)
        assert httpx.get(f"{server.http_url}/readyz").status_code == 200
        assert client.classify(encode("PNG")).version == 2
