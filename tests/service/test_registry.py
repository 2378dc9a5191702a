"""Which models are served, which is the default, what is refused and whether the service is ready."""

import hashlib
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from cnnsvc.engines.golden import GOLDEN_DIR, read_golden
from cnnsvc.errors import BundleError, NotFoundError, NotReadyError
from cnnsvc.manifest import read_manifest, write_manifest
from cnnsvc.model import ModelOptions
from service.metrics import Metrics
from service.registry import Registry
from tests.bundles import write_bundle


def _registry() -> Registry:
    return Registry(ModelOptions(), Metrics(CollectorRegistry(), version="0"))


def _falsify_golden_answers(path: Path) -> None:
    """Wrong answers under right hashes: only running the network can tell."""
    golden = read_golden(path)
    wrong = {artifact: [[*row[1:], row[0]] for row in rows] for artifact, rows in golden.scores.items()}
    content = msgspec.json.encode(msgspec.structs.replace(golden, scores=wrong))
    (path / GOLDEN_DIR / "answers.json").write_bytes(content)
    manifest = read_manifest(path)
    files = {**manifest.files, "golden/answers.json": hashlib.sha256(content).hexdigest()}
    write_manifest(path, msgspec.structs.replace(manifest, files=files))


async def test_the_newest_version_is_served(tmp_path: Path) -> None:
    """Of two versions the newer answers, by default and by number; the older is not loaded."""
    write_bundle(tmp_path)
    write_bundle(tmp_path, seed=1)
    registry = _registry()
    await registry.load_folder(tmp_path)
    assert registry.get("", 0).manifest.version == 2
    assert registry.get("flowers", 2) is registry.get("flowers", 0)
    with pytest.raises(NotFoundError, match=r"version 1 of model 'flowers' is not served; served are \[2\]"):
        registry.get("flowers", 1)
    assert registry.unready_reasons() == []
    registry.close()


async def test_several_models_need_a_name(tmp_path: Path) -> None:
    """Each model is found by its name; a call without one is told the names."""
    write_bundle(tmp_path, "flowers")
    write_bundle(tmp_path, "trees")
    registry = _registry()
    await registry.load_folder(tmp_path)
    assert [served.manifest.name for served in registry.models()] == ["flowers", "trees"]
    assert registry.get("trees", 0).manifest.name == "trees"
    with pytest.raises(NotFoundError, match="several are served: flowers, trees"):
        registry.get("", 0)
    registry.close()


async def test_a_version_that_fails_its_proof_gives_way_to_the_one_before(tmp_path: Path) -> None:
    """A newest version with wrong golden answers is refused; the one before serves and the service is ready."""
    write_bundle(tmp_path)
    _falsify_golden_answers(write_bundle(tmp_path, seed=1))
    registry = _registry()
    await registry.load_folder(tmp_path)
    assert registry.get("flowers", 0).manifest.version == 1
    assert registry.unready_reasons() == []
    registry.close()


async def test_a_model_without_a_good_version_makes_the_service_not_ready(tmp_path: Path) -> None:
    """The reason names the version and what is wrong with it."""
    _falsify_golden_answers(write_bundle(tmp_path))
    registry = _registry()
    await registry.load_folder(tmp_path)
    (reason,) = registry.unready_reasons()
    assert "version 1 of model flowers is refused" in reason
    assert "golden images" in reason
    with pytest.raises(NotFoundError, match="served are none"):
        registry.get("flowers", 0)


async def test_no_model_is_not_ready(tmp_path: Path) -> None:
    """Before loading and with an empty folder the service is not ready, and says which it is."""
    registry = _registry()
    assert registry.unready_reasons() == ["models are still being loaded"]
    with pytest.raises(NotReadyError):
        registry.get("", 0)
    await registry.load_folder(tmp_path)
    assert registry.unready_reasons() == ["no model is there to serve"]


async def test_a_single_bundle_that_is_refused_is_an_error(tmp_path: Path) -> None:
    """With one bundle asked for by path there is nothing to fall back to."""
    path = write_bundle(tmp_path)
    (path / "model.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match="SHA-256"):
        await _registry().load_bundle(path)
