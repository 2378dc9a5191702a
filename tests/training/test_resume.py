"""A run that is cut and gone on with ends as one that was not."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnsvc.bundle import open_bundle
from tests.images import write_image_folder
from training.checkpoint import Checkpoint
from training.progress import Reporter
from training.trained import EpochRecord

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


class Cut(Reporter):
    """Ends the run after an epoch, like Ctrl-C would."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self._after = after

    def epoch(self, record: EpochRecord, num_epochs: int) -> None:
        if record.epoch == self._after:
            raise KeyboardInterrupt


def test_cut_after_any_epoch_it_ends_with_the_same_weights(tmp_path: Path) -> None:
    """Dropout, augmentation, averaged weights and the smoothed choice of the best epoch go on as if nothing was."""
    from tests.training.runs import IMAGE, QUICK, new_network, quick_fit, quiet_reporter, shapes_cache
    from training.device import Device
    from training.fit import fit

    write_image_folder(tmp_path / "data", 3, 11, 16)
    cache = shapes_cache(tmp_path / "data")
    settings = replace(QUICK, epochs=4, augment="full", averaging=0.9, smoothing=2, balance="copies")
    whole = quick_fit(cache, settings)

    def part(resume: bool, reporter: Reporter) -> Any:
        chosen = replace(settings, resume=resume)
        build = lambda: new_network(settings)  # noqa: E731
        checkpoint = Checkpoint(tmp_path / "runs", "shapes", {})
        return fit(build, IMAGE, cache.training, cache.validation, chosen, Device("CPU"), reporter, checkpoint)

    # The first part leaves nothing after one epoch; the others go on from where the one before was.
    for after in (2, 3, 4):
        with pytest.raises(KeyboardInterrupt):
            part(after > 2, Cut(after))
    resumed = part(True, quiet_reporter())
    assert resumed.best_epoch == whole.best_epoch
    assert [one.validation_accuracy for one in resumed.history] == [one.validation_accuracy for one in whole.history]
    losses = [one.training_loss for one in whole.history]
    assert [one.training_loss for one in resumed.history] == pytest.approx(losses, rel=1e-5)
    for one, other in zip(resumed.weights, whole.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_killed_and_gone_on_with_it_has_the_same_weights(tmp_path: Path) -> None:
    """After kill -9 in the middle of an epoch, --resume gives the weights of an unbroken run, bit by bit."""
    write_image_folder(tmp_path / "data", 3, 40, 32)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    with subprocess.Popen(_command(tmp_path, killed), **_options()) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("epoch 3/"):
                process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert [path.suffix for path in killed.rglob("*") if path.is_file()] == [".npz"]

    wrong = subprocess.run([*_command(tmp_path, killed), "--resume", "--seed", "8"], **_options(), timeout=250)
    assert wrong.returncode == 2
    assert "is of another run: --seed is 8 and was 7" in wrong.stderr

    done = subprocess.run([*_command(tmp_path, killed), "--resume"], **_options(), timeout=250)
    assert done.returncode == 0, done.stderr
    assert "going on after epoch" in done.stderr
    assert "epoch 1/" not in done.stderr
    assert not (killed / ".training").exists()

    unbroken = subprocess.run(_command(tmp_path, whole), **_options(), timeout=250)
    assert unbroken.returncode == 0, unbroken.stderr
    one, other = (open_bundle(folder / "shapes/1") for folder in (killed, whole))
    weights = "variables/variables.data-00000-of-00001"
    assert one.manifest.files[weights] == other.manifest.files[weights]
    histories = [json.loads((bundle.path / "report/metrics.json").read_text())["history"] for bundle in (one, other)]
    for name in ("training_loss", "validation_accuracy", "validation_loss"):
        assert [record[name] for record in histories[0]] == [record[name] for record in histories[1]]


def _command(folder: Path, models_dir: Path) -> list[str]:
    flags = ["--name", "shapes", "--models-dir", str(models_dir), "--arch", "C: 4n d20% D: 8nR", "--epochs", "6"]
    flags += ["--image-size", "32", "--device", "cpu", "--deterministic", "--averaging", "0.9", "--seed", "7"]
    return [
        *(sys.executable, "-c", "from cnnsvc.cli import app; app()", "train", str(folder / "data")),
        *(*flags, "--learning-rate", "0.02", "--batch-size", "2", "--export-dead"),
    ]


def _options() -> dict[str, Any]:
    return {"cwd": ROOT, "env": {**os.environ}, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
