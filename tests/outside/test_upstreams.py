"""Upstreams made of the reference packages of each dialect, and our own server as one."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from cnnsvc.bundle import open_bundle
from cnnsvc.client import Client
from cnnsvc.engines.golden import golden_images
from cnnsvc.engines.load import load_engine
from cnnsvc.engines.remote import choose_remote
from cnnsvc.engines.upstream import DialectName, Upstream
from tests.bundles import write_bundle
from tests.e2e.server import Server, serving
from tests.encoded import encode
from tests.outside.environments import client_python

pytestmark = pytest.mark.slow

_HERE = Path(__file__).parent


@contextlib.contextmanager
def _stub(python: Path, program: str, weights: Path) -> Iterator[str]:
    """Its URL."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [python, _HERE / program, weights]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            assert port, f"{program} ended with {process.wait(10)}"
            yield f"grpc://127.0.0.1:{port}"
        finally:
            process.terminate()


def _python(dialect: DialectName) -> Path:
    """Of the environment that holds the reference package."""
    return Path(sys.executable) if dialect == "tfs" else client_python("tritonclient")


@pytest.mark.parametrize("dialect", ["tfs", "oip"])
def test_a_stub_of_the_reference_package(dialect: DialectName, tmp_path: Path) -> None:
    """Metadata, tensors and batches mean the same to the packages that define them: every score is right."""
    bundle = open_bundle(write_bundle(tmp_path))
    (tensor,) = onnx.load(bundle.path / "model.onnx").graph.initializer
    np.save(tmp_path / "weights.npy", numpy_helper.to_array(tensor))
    images = golden_images(bundle)
    with _stub(_python(dialect), f"stub_{dialect}.py", tmp_path / "weights.npy") as url:
        choice = choose_remote(bundle, Upstream(url), artifact=None, num_streams=2, max_batch_size=3)
        found = choice.engine.run(images)
        choice.engine.close()
    here = load_engine("openvino", bundle, "model.onnx", num_threads=1)
    np.testing.assert_allclose(found, here.run(images), atol=1e-5)
    here.close()


@pytest.mark.parametrize("dialect", ["tfs", "oip"])
def test_our_own_server_as_an_upstream(dialect: DialectName, tmp_path: Path) -> None:
    """The same answers, to the last digit, from the server in front and from the one behind, on both doors."""
    models = tmp_path / "models"
    write_bundle(models)
    images = [encode("JPEG", seed=seed) for seed in range(20)]
    with serving("--models-dir", models, "--engine", "openvino") as behind, Client(behind.grpc_address) as direct:
        remote = ["--engine", "remote", "--upstream", f"grpc://{behind.grpc_address}", "--upstream-dialect", dialect]
        with serving("--models-dir", models, *remote) as front, Client(front.grpc_address) as client:
            for image in images:
                assert client.classify(image).classes == direct.classify(image).classes
                assert _results(front, image) == _results(behind, image)


def _results(server: Server, image: bytes) -> object:
    """Over HTTP, without the times."""
    response = httpx.post(f"{server.http_url}/api/v1/classify", content=image).raise_for_status()
    return [result["classes"] for result in response.json()["results"]]
