"""From a finished training to a published bundle, and nothing at all where the proof fails."""

import dataclasses
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnsvc.bundle import open_bundle
from cnnsvc.engines.golden import check_golden, read_golden
from cnnsvc.engines.load import load_engine
from cnnsvc.errors import ExportError, InvalidError
from tests.encoded import scene
from tests.training.export.conftest import Exported
from tests.training.export.networks import finished_training, labelled
from training.export.agreement import Candidate
from training.export.bundle import _check_answers, export_bundle
from training.held_out import HeldOut
from training.judged_folder import scan_judged

pytestmark = pytest.mark.slow

ARTIFACTS = [
    "model.onnx",
    "saved_model/serving_default",
    "saved_model/serving_float",
    "saved_model/serving_bytes",
    "saved_model/classify",
    "model.int8.onnx",
]


def test_the_folder(exported: Exported) -> None:
    """The bundle is the version folder with everything that four servers read, each file hashed."""
    bundle = open_bundle(exported.path)
    assert exported.path.parts[-3:] == ("models", "shapes", "1")
    assert set(bundle.manifest.files) == {
        "model.onnx",
        "model.int8.onnx",
        "saved_model.pb",
        "fingerprint.pb",
        "variables/variables.index",
        "variables/variables.data-00000-of-00001",
        "assets.extra/tf_serving_warmup_requests",
        "golden/answers.json",
        *(f"golden/{index:03d}_{name}.jpg" for index, name in enumerate(exported.trained.class_names)),
        *(
            f"report/{name}"
            for name in ("metrics.json", "report.html", "curves.png", "confusion.png", "classes.png", "model_card.md")
        ),
    }
    beside = {path.name for path in exported.path.parent.iterdir()}
    assert beside == {"1", "config.pbtxt", "labels.txt"}


def test_the_manifest(exported: Exported) -> None:
    """The manifest says what was trained, how well each artifact agrees, and what the split looks like."""
    manifest, trained = open_bundle(exported.path).manifest, exported.trained
    assert (manifest.format, manifest.name, manifest.version, manifest.pixels) == (1, "shapes", 1, 2)
    assert manifest.class_names == trained.class_names
    assert manifest.image == trained.image
    assert manifest.network.notation == trained.notation
    assert manifest.network.num_parameters == trained.network.count_params()
    assert manifest.training["int8"] in exported.steps
    assert {**manifest.training, **trained.facts} == manifest.training
    assert manifest.created.endswith("+00:00")
    assert list(manifest.artifacts) == ARTIFACTS
    for artifact in ARTIFACTS[:3]:
        assert manifest.artifacts[artifact].num_images == len(trained.validation.labels)
        assert manifest.artifacts[artifact].top1_agreement == 1
        assert manifest.artifacts[artifact].max_difference < 1e-5
    assert sum(manifest.baseline.class_shares) == pytest.approx(1)
    assert sum(manifest.baseline.confidence_histogram) == len(trained.validation.labels)
    assert list(map(sum, manifest.baseline.channel_mean_histograms)) == 3 * [len(trained.validation.labels)]
    means = trained.validation.images_nhwc.mean(axis=(0, 1, 2))
    np.testing.assert_allclose(manifest.baseline.channel_means, means)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_the_server_finds_it_right(exported: Exported, engine: str) -> None:
    """The published bundle opens, loads and gives its golden answers in either engine."""
    bundle = open_bundle(exported.path)
    check_golden(bundle, load_engine(engine, bundle, "model.onnx", num_threads=1))


def test_golden_answers_of_every_artifact(exported: Exported) -> None:
    """Each artifact's own answers are recorded, one row an image."""
    golden = read_golden(exported.path)
    assert list(golden.scores) == ARTIFACTS
    assert {len(rows) for rows in golden.scores.values()} == {len(exported.trained.class_names)}


def test_the_report(exported: Exported) -> None:
    """The report has every engine's figures and the accuracy of the exported weights."""
    metrics = json.loads((exported.path / "report" / "metrics.json").read_text())
    agreements = {(one["artifact"], one["engine"]): one for one in metrics["export"]["agreements"]}
    assert {"openvino", "onnxruntime"} == {engine for artifact, engine in agreements if artifact == "model.onnx"}
    onnx = agreements["model.onnx", "openvino"]
    assert onnx["num_correct"] / onnx["num_images"] == pytest.approx(metrics["validation_accuracy"])


def test_progress_is_told(exported: Exported) -> None:
    """Every step is announced, and the figures of every artifact are told."""
    assert exported.steps[0] == "writing the SavedModel"
    assert sum("of 24 images disagree" in step for step in exported.steps) == 8


def test_the_next_version(tmp_path: Path) -> None:
    """A second training of the same name becomes version 2, and the files for Triton follow; grey works as well."""
    for channels, folder in ((3, "first"), (1, "second")):
        trained = finished_training(tmp_path / folder, channels=channels, images_per_class=2)
        path = export_bundle(trained, tmp_path / "models", on_step=lambda _: None)
    assert path == tmp_path / "models" / "shapes" / "2"
    assert "24, 24, 1" in (path.parent / "config.pbtxt").read_text()
    bundle = open_bundle(path)
    check_golden(bundle, load_engine("openvino", bundle, "model.onnx", num_threads=1))


def test_a_failed_proof_leaves_nothing(tmp_path: Path) -> None:
    """A network that gives no numbers is not published, and its folder holds neither a version nor a half one."""
    trained = finished_training(tmp_path / "images", images_per_class=2)
    trained.network.weights[-1].assign(np.full(3, np.nan))
    with pytest.raises(ExportError, match="not finite"):
        export_bundle(trained, tmp_path / "models", on_step=lambda _: None)
    assert list((tmp_path / "models").iterdir()) == []


def test_files_for_triton_that_cannot_be_written(tmp_path: Path) -> None:
    """A bundle that is published is a success, whatever becomes of the files beside it, of which a warning tells."""
    trained = finished_training(tmp_path / "images", images_per_class=2)
    (tmp_path / "models/shapes/labels.txt").mkdir(parents=True)
    steps: list[str] = []
    path = export_bundle(trained, tmp_path / "models", on_step=steps.append)
    assert open_bundle(path).manifest.version == 1
    assert steps[-1].startswith(f"warning: the files for Triton beside {path} could not be written")


def test_images_that_are_gone_by_then(tmp_path: Path) -> None:
    """A training outlives its data: what takes pixels is proven, what takes files is told to be unproven, and so is
    what was to be tested on."""
    trained = finished_training(tmp_path / "images", images_per_class=2)
    held_out = HeldOut(scan_judged(tmp_path / "images", trained.class_names), [])
    trained = dataclasses.replace(trained, held_out=held_out)
    shutil.rmtree(tmp_path / "images")
    steps: list[str] = []
    path = export_bundle(trained, tmp_path / "models", on_step=steps.append)
    bundle = open_bundle(path)
    assert not set(ARTIFACTS[3:5]) & set(bundle.manifest.artifacts)
    check_golden(bundle, load_engine("openvino", bundle, "model.onnx", num_threads=1))
    assert "warning: 6 validation files are gone" in "\n".join(steps)
    assert "warning: not tested: none of the 6 files of " in "\n".join(steps)
    assert "test" not in bundle.manifest.training


def test_an_engine_that_answers_otherwise(exported: Exported) -> None:
    """The recorded answers must be every engine's, or one of them could not load the bundle."""
    candidate = Candidate("model.onnx", "onnxruntime", "pixels", lambda images_nhwc: images_nhwc)
    recorded = np.asarray([[0.9, 0.06, 0.04]], np.float32)
    _check_answers(candidate, recorded, recorded + np.float32(9e-4))
    with pytest.raises(ExportError, match=r"onnxruntime answers 1 of 1 golden images unlike .* difference 2\.0e-03"):
        _check_answers(candidate, recorded, recorded + np.float32(2e-3))


def test_palettes_of_every_format(tmp_path: Path) -> None:
    """A dataset of images with palettes, BMP among them, is exported with every signature in agreement."""
    trained = finished_training(tmp_path / "images", images_per_class=2)
    files = []
    for index, file in enumerate(trained.validation.files):
        files.append(file.with_suffix((".bmp", ".png", ".gif")[index % 3]))
        with Image.open(file) as image:
            image.convert("P").save(files[-1])
    changed = dataclasses.replace(trained, validation=labelled(files, trained.class_names, 3))
    path = export_bundle(changed, tmp_path / "models", on_step=lambda _: None)
    for artifact in open_bundle(path).manifest.artifacts.values():
        assert (artifact.num_images, artifact.num_undecodable, artifact.top1_agreement) == (6, 0, 1.0)


def test_a_name_that_is_no_folder(exported: Exported, tmp_path: Path) -> None:
    """A name with a slash is refused before anything is written."""
    with pytest.raises(InvalidError, match="model name"):
        export_bundle(dataclasses.replace(exported.trained, name="../up"), tmp_path, on_step=lambda _: None)
    assert list(tmp_path.iterdir()) == []


def test_files_that_tensorflow_cannot_decode(tmp_path: Path) -> None:
    """An animated WebP, which ours decodes and TensorFlow does not, is counted apart and leaves golden answers out."""
    trained = finished_training(tmp_path / "images", images_per_class=2)
    frames = [Image.fromarray(scene(8, 8, seed)) for seed in (1, 2)]
    stream = io.BytesIO()
    frames[0].save(stream, "WEBP", save_all=True, append_images=frames[1:])
    animated = tmp_path / "images" / trained.class_names[0] / "animated.png"
    animated.write_bytes(stream.getvalue())
    validation = labelled([*trained.validation.files, animated], trained.class_names, 3)
    steps: list[str] = []
    path = export_bundle(dataclasses.replace(trained, validation=validation), tmp_path / "models", on_step=steps.append)
    artifacts = open_bundle(path).manifest.artifacts
    assert (artifacts["model.onnx"].num_images, artifacts["saved_model/classify"].num_images) == (7, 6)
    assert (artifacts["model.onnx"].num_undecodable, artifacts["saved_model/classify"].num_undecodable) == (0, 1)
    assert "warning: saved_model/classify cannot decode 1 of 7 files, which are not in its figures" in steps
    assert not set(ARTIFACTS[3:5]) & set(read_golden(path).scores)
