"""Which engine runs which file of a bundle."""

import sys
from pathlib import Path

import msgspec
import pytest

from cnnsvc.bundle import Bundle, open_bundle
from cnnsvc.engines.load import load_engine, open_engine
from cnnsvc.errors import BundleError, InvalidError, UnsupportedError
from tests.bundles import manifest_of, write_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return open_bundle(write_bundle(tmp_path))


@pytest.mark.parametrize(
    ("asked", "loaded"), [("auto", "openvino"), ("openvino", "openvino"), ("onnxruntime", "onnxruntime")]
)
def test_the_engine_asked_for(bundle: Bundle, asked: str, loaded: str) -> None:
    """The named engine loads model.onnx; auto means OpenVINO where it is installed."""
    engine = load_engine(asked, bundle, num_threads=3)
    assert (engine.name, engine.artifact, engine.num_streams) == (loaded, "model.onnx", 3)


def test_auto_without_openvino(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where OpenVINO is not installed auto means ONNX Runtime."""
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert load_engine("auto", bundle, num_threads=1).name == "onnxruntime"


@pytest.mark.parametrize(
    ("engine", "requirement"), [("openvino", "openvino"), ("onnxruntime", r"cnnsvc\[onnxruntime\]")]
)
def test_an_engine_that_is_not_installed(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, engine: str, requirement: str
) -> None:
    """The error names the engine and what to install."""
    monkeypatch.setitem(sys.modules, engine, None)
    with pytest.raises(UnsupportedError, match=f"engine {engine} is not installed .*pip install '{requirement}'"):
        load_engine(engine, bundle, num_threads=1)


def test_an_unknown_engine(bundle: Bundle) -> None:
    """The error lists the engines there are."""
    with pytest.raises(InvalidError, match="'tpu' is unknown; expected auto, openvino, onnxruntime"):
        open_engine("tpu", bundle.path / "model.onnx", num_threads=1)


@pytest.mark.parametrize("artifact", ["model.int8.onnx", "saved_model/serving_default", "../model.onnx"])
def test_an_artifact_that_no_engine_can_run(bundle: Bundle, artifact: str) -> None:
    """Only the bundle's own ONNX files load; the error lists them."""
    with pytest.raises(BundleError, match=rf"{artifact}.* it has \['model.onnx'\]"):
        load_engine("auto", bundle, num_threads=1, artifact=artifact)


def test_a_bundle_without_artifacts(tmp_path: Path) -> None:
    """A manifest that lists no ONNX file loads nothing, whatever lies in the folder."""
    bundle = Bundle(tmp_path, msgspec.structs.replace(manifest_of(), artifacts={}))
    with pytest.raises(BundleError, match=r"it has \[\]"):
        load_engine("auto", bundle, num_threads=1)
