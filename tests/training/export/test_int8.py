"""The INT8 file: what is in it, that it answers like the network, and the gate that keeps it out."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from cnnsvc.bundle import open_bundle
from cnnsvc.engines.golden import check_golden
from cnnsvc.engines.load import load_engine, open_engine
from cnnsvc.errors import EngineError
from cnnsvc.manifest import ImageShape
from tests.training.export.conftest import Exported
from tests.training.export.test_folding import EVERY_SIGN, network_with_history

pytestmark = pytest.mark.slow

METADATA = {"name": "shapes", "class_names": json.dumps(["a", "b", "c"])}


def written(notation: str, image: ImageShape, path: Path, recipe: Any, images: np.ndarray[Any, Any]) -> Any:
    """The file of a network with random weights, calibrated on the images; the network."""
    from training.export.calibration import calibrate
    from training.export.folding import fold
    from training.export.int8 import weighted, write_int8

    network = network_with_history(notation, image)
    layers = fold(network)
    inputs = calibrate(network, weighted(layers), images, batch_size=4)
    write_int8(layers, inputs, recipe, METADATA, image, path)
    return network


def pictures(image: ImageShape, num_images: int = 12) -> np.ndarray[Any, Any]:
    """Smooth ones, of different brightness."""
    random = np.random.default_rng(1)
    rows, columns = np.mgrid[: image.height, : image.width] / 10
    waves = np.sin(rows[..., None] + random.uniform(0, 6, (num_images, 1, 1, image.channels)) + columns[..., None])
    images: np.ndarray[Any, Any] = random.uniform(60, 190, (num_images, 1, 1, 1)) + 50 * waves
    return images.astype(np.uint8)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("recipe", [0, 1, 2])
@pytest.mark.parametrize(
    ("notation", "image"),
    [
        (EVERY_SIGN, ImageShape(40, 33, 1)),
        ("C: 8n 8nv d¼ 16n 16nv d¼ D: 16R", ImageShape(24, 20, 3)),
        ("C: 4 D:", ImageShape(8, 8, 3)),
    ],
    ids=["every sign", "like 26", "no dense layer"],
)
def test_it_answers_like_the_network(
    notation: str, image: ImageShape, recipe: int, engine: str, tmp_path: Path
) -> None:
    """Every recipe, in both engines, for one image and for several: probabilities within some hundredths."""
    from training.export.int8 import RECIPES

    images = pictures(image)
    network = written(notation, image, tmp_path / "model.int8.onnx", RECIPES[recipe], images)
    expected = np.asarray(network(images.astype(np.float32), training=False))
    opened = open_engine(engine, tmp_path / "model.int8.onnx", num_threads=1)
    np.testing.assert_allclose(opened.run(images), expected, atol=0.03)
    np.testing.assert_allclose(opened.run(images[:1]), expected[:1], atol=0.03)
    opened.close()


def test_what_is_in_the_file(tmp_path: Path) -> None:
    """Convolutions and the first dense layer have int8 weights, the others float ones; metadata stays."""
    from training.export.int8 import RECIPES

    image, path = ImageShape(24, 20, 3), tmp_path / "model.int8.onnx"
    written("C: 8n 8nv 16n 16nv D: 16R", image, path, RECIPES[0], pictures(image))
    model = onnx.load(path)
    int8 = [one for one in model.graph.initializer if one.data_type == onnx.TensorProto.INT8 and len(one.dims) > 1]
    assert [list(one.dims) for one in int8] == [[8, 3, 3, 3], [8, 8, 3, 3], [16, 8, 3, 3], [16, 16, 3, 3], [192, 16]]
    assert {one.key: one.value for one in model.metadata_props} == METADATA
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8


def test_the_same_training_gives_the_same_file(tmp_path: Path) -> None:
    """Nothing in calibration is left to chance."""
    from training.export.int8 import RECIPES

    image = ImageShape(24, 20, 3)
    for name in ("one", "two"):
        written("C: 4n 4nv D: 8R", image, tmp_path / name, RECIPES[0], pictures(image))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_it_is_part_of_the_bundle(exported: Exported) -> None:
    """The manifest has its figures and how it was made; its golden answers come out in both engines."""
    bundle = open_bundle(exported.path)
    artifact = bundle.manifest.artifacts["model.int8.onnx"]
    assert (artifact.precision, artifact.num_images) == ("int8", len(exported.trained.validation.labels))
    assert artifact.top1_agreement >= 0.99
    assert bundle.manifest.training["int8"].startswith("model.int8.onnx is written: activations")
    for engine in ("openvino", "onnxruntime"):
        check_golden(bundle, load_engine(engine, bundle, "model.int8.onnx", num_threads=1))


def test_a_network_that_cannot_be_folded(tmp_path: Path) -> None:
    """It is published without an INT8 file; manifest and steps say why."""
    from tests.training.export.networks import finished_training, tiny_network
    from training.export.bundle import export_bundle

    trained = finished_training(tmp_path / "images", images_per_class=2)
    trained = dataclasses.replace(trained, network=tiny_network(has_norm_behind_relu=True))
    steps: list[str] = []
    manifest = open_bundle(export_bundle(trained, tmp_path / "models", on_step=steps.append)).manifest
    assert "model.int8.onnx" not in manifest.artifacts
    assert "does not stand right behind the weights" in manifest.training["int8"]
    assert manifest.training["int8"] in steps


def test_the_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every draft is outside the limits, none is published, and the figures of all are told."""
    from tests.training.export.networks import finished_training
    from training.export import drafts, int8
    from training.export.agreement import Limits
    from training.export.bundle import export_bundle

    monkeypatch.setattr(drafts, "ROUNDED", Limits(per_mille=10, difference=0.0))
    trained = finished_training(tmp_path / "images", images_per_class=8)
    path = export_bundle(trained, tmp_path / "models", on_step=lambda _: None)
    manifest = open_bundle(path).manifest
    assert "model.int8.onnx" not in manifest.artifacts
    assert not (path / "model.int8.onnx").exists()
    assert manifest.training["int8"].startswith("model.int8.onnx is left out: ")
    for recipe in int8.RECIPES:
        assert f"model.int8.onnx ({recipe}) in openvino: " in manifest.training["int8"]


@pytest.mark.parametrize("is_right", [True, False])
def test_bfloat16_is_proven_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_right: bool) -> None:
    """Where the CPU has it, it becomes an artifact under the same gate; else the steps say why not."""
    from tests.fakes import FunctionEngine
    from tests.training.export.networks import finished_training
    from training.export import bundle

    def opened(name: str, path: Path, *, num_threads: int, is_bfloat16: bool = False) -> Any:
        engine = open_engine(name, path, num_threads=num_threads)
        if not is_bfloat16:
            return engine
        return FunctionEngine(
            lambda images: engine.run(images) if is_right else np.roll(engine.run(images), 1, axis=1),
            artifact="model.onnx@bfloat16",
        )

    monkeypatch.setattr(bundle, "has_bfloat16", lambda: True)
    monkeypatch.setattr(bundle, "open_engine", opened)
    steps: list[str] = []
    trained = finished_training(tmp_path / "images", images_per_class=2)
    manifest = open_bundle(bundle.export_bundle(trained, tmp_path / "models", on_step=steps.append)).manifest
    assert ("model.onnx@bfloat16" in manifest.artifacts) == is_right
    assert any(step.startswith("model.onnx@bfloat16 will not be served: ") for step in steps) != is_right
    if is_right:
        assert manifest.artifacts["model.onnx@bfloat16"].precision == "bfloat16"


@pytest.mark.parametrize("fault", ["differs", "fails"])
def test_a_draft_costs_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """Drafts that an engine cannot run, or about whose golden answers engines differ, are left out with the reason."""
    from tests.fakes import FunctionEngine
    from tests.training.export.networks import finished_training
    from training.export import drafts
    from training.export.bundle import export_bundle

    def opened(name: str, path: Path, *, num_threads: int) -> Any:
        engine = open_engine(name, path, num_threads=num_threads)

        def run(images: Any) -> Any:
            if fault == "fails":
                raise EngineError("out of memory")
            scores = engine.run(images)
            return scores + np.array([[0.06, -0.06, 0]], np.float32)

        return FunctionEngine(run) if name == "onnxruntime" else engine

    monkeypatch.setattr(drafts, "open_engine", opened)
    trained = finished_training(tmp_path / "images", images_per_class=2)
    manifest = open_bundle(export_bundle(trained, tmp_path / "models", on_step=lambda _: None)).manifest
    assert "model.int8.onnx" not in manifest.artifacts
    assert {"differs": "golden images unlike", "fails": "out of memory"}[fault] in manifest.training["int8"]
