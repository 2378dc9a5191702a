"""Which models are served, which is the default, what is refused and whether the service is ready."""

import hashlib
import shutil
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


def _registry(prometheus: CollectorRegistry | None = None) -> Registry:
    return Registry(ModelOptions(), Metrics(prometheus or CollectorRegistry(), version="0"))


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


async def test_loads_are_measured_with_their_outcome(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A version that is refused and one that is loaded are each counted and timed under the name of their model.

    Both are in the log with the same as fields, and readiness follows.
    """
    write_bundle(tmp_path)
    _falsify_golden_answers(write_bundle(tmp_path, seed=1))
    prometheus = CollectorRegistry()
    registry = _registry(prometheus)
    assert prometheus.get_sample_value("cnnsvc_ready") == 0
    with caplog.at_level("INFO"):
        await registry.load_folder(tmp_path)
    assert prometheus.get_sample_value("cnnsvc_ready") == 1
    for outcome in ("loaded", "refused"):
        labels = {"model": "flowers", "outcome": outcome}
        assert prometheus.get_sample_value("cnnsvc_model_load_duration_seconds_count", labels) == 1
        seconds = prometheus.get_sample_value("cnnsvc_model_load_duration_seconds_sum", labels)
        assert seconds is not None
        assert 0 < seconds < 60
    refused, loaded, *trials = (vars(record) for record in caplog.records)
    assert (refused["levelname"], refused["model"], refused["version"]) == ("ERROR", "flowers", 2)
    chosen = next(trial for trial in trials if trial["is_chosen"])
    assert (loaded["levelname"], loaded["model"], loaded["version"]) == ("INFO", "flowers", 1)
    assert (loaded["engine"], loaded["artifact"]) == (chosen["engine"], chosen["artifact"])
    assert {trial["engine"] for trial in trials} == {"openvino", "onnxruntime"}
    registry.close()


async def test_a_bundle_in_the_folder_of_another_is_refused(tmp_path: Path) -> None:
    """A copy under another name or number does not answer in the name of the one it was copied from."""
    write_bundle(tmp_path)
    shutil.copytree(tmp_path / "flowers" / "1", tmp_path / "flowers" / "5")
    shutil.copytree(tmp_path / "flowers" / "1", tmp_path / "trees" / "1")
    registry = _registry()
    await registry.load_folder(tmp_path)
    assert [(served.manifest.name, served.manifest.version) for served in registry.models()] == [("flowers", 1)]
    (reason,) = registry.unready_reasons()
    assert reason.endswith("its manifest says flowers version 1; expected trees version 1")
    registry.close()


async def test_one_odd_bundle_does_not_keep_the_others_from_serving(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever is wrong in one model's folder, even what nobody foresaw, the healthy model serves."""
    write_bundle(tmp_path, "flowers")
    odd = write_bundle(tmp_path, "odd")
    (odd / "manifest.json").unlink()
    (odd / "manifest.json").symlink_to(odd / "manifest.json")
    (tmp_path / "looping").symlink_to(tmp_path / "looping")
    registry = _registry()
    await registry.load_folder(tmp_path)
    assert [served.manifest.name for served in registry.models()] == ["flowers"]
    assert len(registry.unready_reasons()) == 1
    assert "version 1 of model odd is refused" in caplog.text
    registry.close()


async def test_long_names_are_not_repeated(tmp_path: Path) -> None:
    """The error for an unknown model shows only the beginning of a name that is longer than any can be."""
    write_bundle(tmp_path)
    registry = _registry()
    await registry.load_folder(tmp_path)
    with pytest.raises(NotFoundError) as error:
        registry.get("m" * 20_000, 0)
    assert len(str(error.value)) < 200
    registry.close()
