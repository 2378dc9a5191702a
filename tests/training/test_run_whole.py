"""training/run.py from folder to bundle, and interrupted on the way."""

import functools
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from cnnsvc.bundle import open_bundle, versions
from cnnsvc.manifest import Manifest
from cnnsvc.model import ModelOptions, load_model
from tests.images import write_image_folder
from training.evaluation import evaluate_model
from training.judged_folder import scan_judged
from training.progress import Reporter

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_a_folder_becomes_a_bundle(tmp_path: Path) -> None:
    """The version folder holds the trained network with its figures, and its manifest tells how it came about."""
    from tests.training.runs import QUICK
    from training.run import train

    write_image_folder(tmp_path / "data", 3, 11, 16)
    (tmp_path / "data/red/bad.png").write_bytes(b"no image")
    write_image_folder(tmp_path / "test", 3, 5, 16, first_seed=1000)
    shutil.copy(tmp_path / "data/red/000.png", tmp_path / "test/red/copy.png")
    out = io.StringIO()
    reporter = Reporter(Console(file=out))
    path = train(tmp_path / "data", "shapes", tmp_path / "models", QUICK, test=tmp_path / "test", reporter=reporter)
    assert path == tmp_path / "models/shapes/1"
    manifest = open_bundle(path).manifest
    assert manifest.class_names == ["blue", "green", "red"]
    assert (manifest.image.height, manifest.image.width, manifest.image.channels) == (16, 16, 3)
    assert (manifest.network.name, manifest.network.notation) == ("custom", "C: 4n d20% D: 8nR")
    assert manifest.training["settings"]["arch"] == QUICK.arch
    assert manifest.training["settings"]["split"] == "grouped"
    assert manifest.training["inspection"]["left_out"] == []
    assert manifest.training["unreadable"][0]["file"] == "red/bad.png"
    assert manifest.artifacts["model.onnx"].accuracy > 0.6
    check_test_folder(path, manifest, out.getvalue())
    assert manifest.scores is not None
    assert (manifest.scores.num_images, manifest.scores.temperature, manifest.scores.threshold) == (8, 1, None)


def check_test_folder(path: Path, manifest: Manifest, said: str) -> None:
    """What was never trained on is judged with the served file, on record everywhere, as `cnnsvc evaluate` judges."""
    assert "warning: 1 of 16 test images is in " in said
    assert "  red/copy.png = red/000.png" in said
    assert "judging model.onnx on 16 test images" in said
    recorded = manifest.training["test"]
    assert (recorded["num_images"], recorded["num_overlaps"]) == (16, 1)
    assert recorded["without_overlaps"]["num_images"] == 15
    metrics = json.loads((path / "report/metrics.json").read_text())
    assert metrics["test"]["overlaps"] == [{"file": "red/copy.png", "twin": "red/000.png", "is_exact": True}]
    assert metrics["test"]["judgement"]["num_right"] == recorded["num_right"]
    assert f"{recorded['num_right']} of 16" in (path / "report/report.html").read_text()
    assert f"| {recorded['num_right']} | 16 |" in (path / "report/model_card.md").read_text()
    assert "report/model_card.md" in manifest.files
    timings = manifest.training["timings"]
    assert all(timings[f"{part}_seconds"] > 0 for part in ("inspection", "decoding", "training", "export"))
    model = load_model(path, ModelOptions("openvino", "model.onnx"))
    try:
        found = evaluate_model(model, scan_judged(path.parents[2] / "test", manifest.class_names), Reporter())
    finally:
        model.engine.close()
    assert json.loads(msgspec.json.encode(found.judgement)) == metrics["test"]["judgement"]


def test_an_interrupted_run_leaves_its_checkpoint_alone(tmp_path: Path) -> None:
    """Ctrl-C while fitting ends the program with status 130, without a traceback and without half a bundle."""
    write_image_folder(tmp_path / "data", 2, 8, 16)
    flags = ["--name", "shapes", "--models-dir", str(tmp_path / "models"), "--arch", "C: 2 D: 4R", "--epochs", "10000"]
    flags += ["--image-size", "16", "--patience", "0", "--device", "cpu"]
    command = [sys.executable, "-c", "from cnnsvc.cli import app; app()", "train", str(tmp_path / "data"), *flags]
    environment = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    # A shell that starts the tests in its background has them, and so this program, ignore Ctrl-C.
    heed_interrupts = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=heed_interrupts
    ) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if line.startswith("epoch 2/"):
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
    assert process.returncode == 130, "".join(said) + rest
    assert "Traceback" not in rest
    # The notices that TensorFlow prints while it loads are held back.
    assert len(said) == 5, said
    assert "--resume goes on from it" in rest
    assert versions(tmp_path / "models/shapes") == []
    assert [file.parent.name for file in tmp_path.glob("models/**/*") if file.is_file()] == [".training"]
