"""Which version answers a call, by number, by label and by share."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from cnnsvc.errors import Fault, InvalidError, NotFoundError
from service.metrics import Metrics
from service.registry import Refusal, Registry
from tests.bundles import manifest_of, write_bundle
from tests.fakes import served_model
from tests.service.serving import started


async def _registry(tmp_path: Path, *draws: float) -> Registry:
    """Two versions, the labels stable and canary on them."""
    import msgspec

    metrics = Metrics(CollectorRegistry(), version="0")
    registry = Registry(metrics, iter(draws).__next__)
    for version in (1, 2):
        manifest = msgspec.structs.replace(manifest_of(), version=version)
        registry.put(served_model(manifest, metrics))
    registry.set_loaded()
    registry.route("flowers", 1, {"stable": 1, "canary": 2, "lost": 9}, {})
    return registry


async def test_versions_and_labels(tmp_path: Path) -> None:
    """A call gets the version or label that it names, or the default; what is not there is an error with what is."""
    registry = await _registry(tmp_path)
    assert registry.get("flowers").manifest.version == 1
    assert registry.get("", 2).manifest.version == 2
    assert registry.get("", label="canary").manifest.version == 2
    with pytest.raises(NotFoundError, match="model 'flowers' has no label 'beta'; its labels are canary, stable"):
        registry.get("flowers", label="beta")
    with pytest.raises(NotFoundError, match="has no label 'lost'"):
        registry.get("flowers", label="lost")
    with pytest.raises(InvalidError, match="version 2 and label 'stable' came; expected one of them"):
        registry.get("flowers", 2, "stable")
    assert [(one.is_default, one.labels) for one in registry.models()] == [(True, ("stable",)), (False, ("canary",))]
    assert registry.warnings() == ["label lost of model flowers points to version 9, which is not served"]
    registry.close()


async def test_a_split_deals_by_weight(tmp_path: Path) -> None:
    """Calls that name neither version nor label go to the labels by weight; others are not dealt."""
    registry = await _registry(tmp_path, 0.0, 0.89, 0.9, 0.999, 0.5)
    registry.route("flowers", 1, {"stable": 1, "canary": 2}, {"stable": 90, "canary": 10, "lost": 100})
    assert [registry.get("flowers").manifest.version for _ in range(4)] == [1, 1, 2, 2]
    assert registry.get("flowers", 1).manifest.version == 1
    assert registry.get("flowers", label="canary").manifest.version == 2
    assert registry.get("flowers").manifest.version == 1
    registry.close()


async def test_a_version_that_is_taken_answers_no_more(tmp_path: Path) -> None:
    """The default version cannot be taken; after a successor is named it can."""
    registry = await _registry(tmp_path)
    registry.route("flowers", 2, {}, {})
    taken = registry.take("flowers", 1)
    with pytest.raises(NotFoundError, match=r"version 1 of model 'flowers' is not served; served are \[2\]"):
        registry.get("flowers", 1)
    with pytest.raises(AssertionError):
        registry.take("flowers", 2)
    taken.batcher.close()
    registry.close()


async def test_refusals_are_counted_and_forgotten(tmp_path: Path) -> None:
    """Each refused version has one series, by its present fault."""
    write_bundle(tmp_path)
    serving = await started(tmp_path)
    for fault in (Fault.HASH, Fault.GOLDEN):
        serving.registry.refuse(Refusal("flowers", 7, fault, "a reason"))
    assert serving.value("cnnsvc_model_refused", model="flowers", version="7", fault="hash") is None
    assert serving.value("cnnsvc_model_refused", model="flowers", version="7", fault="golden") == 1
    serving.registry.accept("flowers", 7)
    assert serving.value("cnnsvc_model_refused", model="flowers", version="7", fault="golden") is None
    await serving.close()
