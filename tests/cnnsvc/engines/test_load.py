"""Which engine runs which file of a bundle."""

import sys
from pathlib import Path

import msgspec
import pytest

from cnnsvc.bundle import Bundle, open_bundle
from cnnsvc.engines import openvino
from cnnsvc.engines.load import load_engine, open_engine, runnable_artifacts
from cnnsvc.errors import BundleError, InvalidError, UnsupportedError
from tests.bundles import manifest_of, write_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return open_bundle(write_bundle(tmp_path))


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_the_engine_asked_for(bundle: Bundle, name: str) -> None:
    """The named engine loads the named artifact with as many streams as there are threads."""
    engine = load_engine(name, bundle, "model.onnx", num_threads=3)
    assert (engine.name, engine.artifact, engine.num_streams) == (name, "model.onnx", 3)


@pytest.mark.parametrize(
    ("engine", "requirement"), [("openvino", "openvino"), ("onnxruntime", r"cnnsvc\[onnxruntime\]")]
)
def test_an_engine_that_is_not_installed(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, engine: str, requirement: str
) -> None:
    """The error names the engine and what to install."""
    monkeypatch.setitem(sys.modules, engine, None)
    with pytest.raises(UnsupportedError, match=f"engine {engine} is not installed .*pip install '{requirement}'"):
        load_engine(engine, bundle, "model.onnx", num_threads=1)


def test_an_unknown_engine(bundle: Bundle) -> None:
    """The error lists the engines there are."""
    with pytest.raises(InvalidError, match="'tpu' is unknown; expected auto, openvino, onnxruntime"):
        open_engine("tpu", bundle.path / "model.onnx", num_threads=1)


@pytest.mark.parametrize("artifact", ["model.int8.onnx", "saved_model/serving_default", "../model.onnx"])
def test_an_artifact_that_no_engine_can_run(bundle: Bundle, artifact: str) -> None:
    """Only the bundle's own ONNX files load; the error lists them."""
    with pytest.raises(BundleError, match=rf"{artifact}.* it has \['model.onnx'\]"):
        load_engine("openvino", bundle, artifact, num_threads=1)


def test_an_artifact_that_was_not_proven_in_bfloat16(bundle: Bundle) -> None:
    """A file's float32 is computed in bfloat16 only where the bundle says that this was proven."""
    with pytest.raises(BundleError, match=r"model.onnx@bfloat16.* it has \['model.onnx'\]"):
        load_engine("openvino", bundle, "model.onnx@bfloat16", num_threads=1)


def test_bfloat16_where_it_is_missing(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU, or an engine, without that arithmetic refuses it, so that another artifact answers."""
    manifest = bundle.manifest
    artifacts = {**manifest.artifacts, "model.onnx@bfloat16": manifest.artifacts["model.onnx"]}
    proven = Bundle(bundle.path, msgspec.structs.replace(manifest, artifacts=artifacts))
    monkeypatch.setattr(openvino, "has_bfloat16", lambda: False)
    for engine in ("openvino", "onnxruntime"):
        with pytest.raises(UnsupportedError, match=r"does not compute in bfloat16|in float32 only"):
            load_engine(engine, proven, "model.onnx@bfloat16", num_threads=1)


def test_only_onnx_files_can_run(tmp_path: Path) -> None:
    """Of a bundle's artifacts the SavedModel's are for others; a file in bfloat16 is one more."""
    one = manifest_of().artifacts["model.onnx"]
    names = ["saved_model/classify", "model.onnx@bfloat16", "model.onnx", "model.int8.onnx"]
    bundle = Bundle(tmp_path, msgspec.structs.replace(manifest_of(), artifacts=dict.fromkeys(names, one)))
    assert runnable_artifacts(bundle) == ["model.int8.onnx", "model.onnx", "model.onnx@bfloat16"]
