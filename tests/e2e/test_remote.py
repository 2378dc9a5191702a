"""A server whose images are inferred elsewhere, from start to end: both doors, an upstream that goes and comes."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from cnnsvc.bundle import open_bundle
from cnnsvc.client import Client
from cnnsvc.engines.load import load_engine
from cnnsvc.errors import NotReadyError
from tests.bundles import write_bundle
from tests.cnnsvc.engines.upstreams import OIP, TFS, Upstream
from tests.e2e.server import Server, serving
from tests.encoded import encode

pytestmark = pytest.mark.slow


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "models")


@pytest.fixture
def upstream(bundle: Path) -> Iterator[Upstream]:
    """Not yet running."""
    found = open_bundle(bundle)
    engine = load_engine("openvino", found, "model.onnx", num_threads=1)
    yield Upstream.of(found, engine)
    engine.close()


def _answer(server: Server) -> tuple[int, float]:
    """The status of a call over HTTP, and the seconds that it took."""
    started = time.monotonic()
    response = httpx.post(f"{server.http_url}/api/v1/classify", content=encode("PNG"), timeout=60)
    return response.status_code, time.monotonic() - started


def _until(is_so: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < give_up
        time.sleep(0.1)


@pytest.mark.parametrize("dialect", [TFS, OIP])
def test_scores_as_if_they_were_inferred_here(bundle: Path, upstream: Upstream, dialect: str) -> None:
    """Two workers, and a process that infers with the same network: one image, the same classes and scores."""
    local = ["--models-dir", bundle.parents[1], "--engine", "openvino"]
    with upstream.running(dialect), serving(*local) as here:
        remote = ["--models-dir", bundle.parents[1], "--engine", "remote", "--upstream", upstream.url, "--workers", 2]
        with serving(*remote, until="all 2 workers serve") as server, Client(here.grpc_address) as expected:
            images = [encode("PNG", seed=seed) for seed in range(20)]
            with Client(server.grpc_address) as client:
                for image in images:
                    assert client.classify(image).classes == expected.classify(image).classes
            assert _answer(server)[0] == 200
            metrics = httpx.get(f"{server.http_url}/metrics").text
            assert 'engine="remote"' in metrics


def test_an_upstream_that_goes_and_comes(bundle: Path, upstream: Upstream) -> None:
    """While it is away calls are refused at once on both doors and the server is not ready; then all is as before."""
    with upstream.running(OIP):
        arguments = ["--models-dir", bundle.parents[1], "--engine", "remote", "--upstream", upstream.url]
        stack = serving(*arguments)
        server = stack.__enter__()
    try:
        ready = f"{server.http_url}/readyz"
        _until(lambda: httpx.get(ready).status_code == 503)
        assert f"the upstream {upstream.url} cannot be reached" in httpx.get(ready).text
        for _ in range(5):
            status, seconds = _answer(server)
            assert (status, seconds < 3) == (503, True)
        with Client(server.grpc_address) as client, pytest.raises(NotReadyError, match="cannot be reached"):
            client.classify(encode("PNG"))
        with upstream.running(OIP):
            _until(lambda: httpx.get(ready).status_code == 200)
            assert _answer(server)[0] == 200
            write_bundle(bundle.parents[1])
            upstream.versions = [1, 2]
            with Client(server.grpc_address) as client:
                _until(lambda: client.classify(encode("PNG")).version == 2)
    finally:
        stack.__exit__(None, None, None)


@pytest.mark.parametrize("as_bundle", [True, False])
def test_an_upstream_that_comes_after_the_server(bundle: Path, upstream: Upstream, as_bundle: bool) -> None:
    """The server starts without it, says why it is not ready, and serves by itself once it is there."""
    with upstream.running(TFS):
        pass
    where: list[object] = ["--bundle", bundle] if as_bundle else ["--models-dir", bundle.parents[1]]
    with serving(*where, "--engine", "remote", "--upstream", upstream.url, until="Connection refused") as server:
        _until(lambda: "version 1 of model flowers is refused" in httpx.get(f"{server.http_url}/readyz").text)
        assert _answer(server)[0] == 503
        with upstream.running(TFS):
            _until(lambda: httpx.get(f"{server.http_url}/readyz").status_code == 200)
            assert _answer(server)[0] == 200
