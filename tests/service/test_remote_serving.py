"""Versions that an upstream infers: served once it has them, tried again until then, not ready while it is away."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from prometheus_client import CollectorRegistry

from cnnsvc.bundle import open_bundle
from cnnsvc.engines.load import load_engine
from cnnsvc.engines.upstream import Upstream as Address
from cnnsvc.errors import BundleError, Fault, NotReadyError, OverloadedError
from cnnsvc.model import ModelOptions
from service.metrics import Metrics
from service.models import Models
from service.predictor import Predictor, PredictorLimits, Query
from service.prover import prove
from service.registry import Registry
from service.rollout import RETRY_SECONDS
from service.settings import ServeSettings
from tests.bundles import write_bundle
from tests.cnnsvc.engines.upstreams import OIP, TFS, Upstream
from tests.encoded import encode
from tests.service.frontends.http_door import until
from tests.service.serving import Serving, started


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "models")


@pytest.fixture
def upstream(path: Path) -> Iterator[Upstream]:
    """Of every version the same network: write further ones with the same seed."""
    bundle = open_bundle(path)
    engine = load_engine("openvino", bundle, "model.onnx", num_threads=1)
    with Upstream.of(bundle, engine).running(TFS, OIP) as upstream:
        yield upstream
    engine.close()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def _look(serving: Serving, clock: Clock) -> None:
    """As the service does again and again, when it is time to try what was refused."""
    clock.now += RETRY_SECONDS + 1
    await serving.rollout.look()


async def test_a_version_that_the_upstream_lacks_at_first(path: Path, upstream: Upstream) -> None:
    """The reason is told, calls may come later, and it serves once it is there; before its time nobody asks again."""
    upstream.versions, clock = [], Clock()
    serving = await started(path.parents[1], upstream=Address(upstream.url), clock=clock)
    (reason,) = serving.registry.unready_reasons()
    assert "version 1 of model flowers is refused" in reason
    assert "does not have this model version" in reason
    assert serving.value("cnnsvc_model_refused", model="flowers", version="1", fault="upstream") == 1
    for name in ("", "flowers"):
        with pytest.raises(NotReadyError, match="not served yet"):
            serving.registry.get(name)
    upstream.versions = [1]
    await serving.rollout.look()
    assert serving.served() == []
    await _look(serving, clock)
    assert serving.served() == [1]
    assert serving.registry.unready_reasons() == []
    assert serving.value("cnnsvc_model_refused", model="flowers", version="1", fault="upstream") is None
    await serving.close()


async def test_what_serves_stays_while_a_newer_one_is_tried_again(path: Path, upstream: Upstream) -> None:
    """A version that the upstream does not have yet takes no other one's place before it has proven itself."""
    clock = Clock()
    write_bundle(path.parents[1])
    upstream.versions = [1, 2]
    serving = await started(path.parents[1], "latest:2", upstream=Address(upstream.url), clock=clock)
    write_bundle(path.parents[1])
    kept = serving.registry.versions("flowers")
    for _ in range(3):
        await _look(serving, clock)
        assert serving.registry.versions("flowers") == kept
    assert set(kept) == {1, 2}
    upstream.versions = [1, 2, 3]
    await _look(serving, clock)
    assert serving.default() == 3
    await serving.close()


async def test_an_upstream_that_goes_away(path: Path, upstream: Upstream) -> None:
    """The service is not ready, calls are refused at once and not held against the version, and all comes back."""
    serving = await started(path.parents[1], upstream=Address(upstream.url))
    predictor = Predictor(serving.registry, PredictorLimits(100, 10, 30_000))
    assert serving.registry.unready_reasons() == []
    await predictor.classify(Query([encode("PNG")]))
    upstream.set_health(is_serving=False)
    await until(lambda: bool(serving.registry.unready_reasons()))
    assert serving.registry.unready_reasons() == [f"the upstream {upstream.url} cannot be reached, or is not ready"]
    with pytest.raises(NotReadyError):
        await predictor.classify(Query([encode("PNG")]))
    upstream.set_health(is_serving=True)
    await until(lambda: not serving.registry.unready_reasons())
    upstream.refusal = grpc.StatusCode.RESOURCE_EXHAUSTED, ""
    with pytest.raises(OverloadedError):
        await predictor.classify(Query([encode("PNG")]))
    upstream.refusal = None
    await predictor.classify(Query([encode("PNG")]))
    tally = serving.registry.get("flowers").tally
    assert (tally.num_answered, tally.num_failed) == (2, 0)
    await serving.close()


async def test_a_lone_bundle_is_tried_until_it_is_served(
    path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Also past an attempt that meets files which are being replaced."""
    monkeypatch.setattr("service.models.RETRY_SECONDS", 0.01)
    metrics = Metrics(CollectorRegistry(), version="test")
    registry = Registry(metrics)
    upstream.versions = []
    settings = ServeSettings(bundle=path, engine="remote", upstream=upstream.url)
    models = Models(registry, metrics, settings, ModelOptions("remote", upstream=Address(upstream.url)), None)
    await models.load()
    assert "does not have this model version" in registry.unready_reasons()[0]
    manifest = (path / "manifest.json").rename(path / "away")
    following = asyncio.create_task(models.follow())
    await until(lambda: "cannot be loaded" in caplog.text)
    upstream.versions = [1]
    manifest.rename(path / "manifest.json")
    await asyncio.wait_for(following, 10)
    assert (registry.names(), registry.unready_reasons()) == (["flowers"], [])
    await models.close()


@pytest.mark.slow
async def test_the_proof_in_a_process_of_its_own_asks_the_upstream(path: Path, upstream: Upstream) -> None:
    """It gets the same options, and comes back with the one trial or with the fault."""
    options = ModelOptions("remote", num_streams=3, max_batch_size=2, upstream=Address(upstream.url))
    (trial,) = await prove(path, options)
    assert (trial.engine, trial.artifact, trial.num_streams, trial.batch_size) == ("remote", "model.onnx", 3, 2)
    assert trial.is_chosen
    assert 2 in upstream.batch_sizes
    upstream.versions = []
    with pytest.raises(BundleError, match="does not have this model version") as refused:
        await prove(path, options)
    assert refused.value.fault is Fault.UPSTREAM
