"""training/run.py from folder to bundle, and interrupted on the way."""

import functools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cnnsvc.bundle import open_bundle, versions
from tests.images import write_image_folder

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_a_folder_becomes_a_bundle(tmp_path: Path) -> None:
    """The version folder holds the trained network with its figures, and its manifest tells how it came about."""
    from tests.training.runs import QUICK, quiet_reporter
    from training.run import train

    write_image_folder(tmp_path / "data", 3, 11, 16)
    (tmp_path / "data/red/bad.png").write_bytes(b"no image")
    path = train(tmp_path / "data", "shapes", tmp_path / "models", QUICK, reporter=quiet_reporter())
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
