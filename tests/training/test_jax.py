"""Training under KERAS_BACKEND=jax: what comes out, how it is cut and gone on with, and what is refused."""

import functools
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cnnsvc.bundle import open_bundle
from cnnsvc.errors import UnsupportedError
from tests.images import write_image_folder
from training.backend import VARIABLE, chosen_backend

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
needs_jax = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed: cnnsvc[jax]")


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes") / "data"
    write_image_folder(folder, 3, 24, 16)
    return folder


def _command(folder: Path, models_dir: Path, *flags: str) -> list[str]:
    words = ["--name", "shapes", "--models-dir", str(models_dir), "--arch", "C: 4n d20% D: 8nR", "--epochs", "5"]
    words += ["--image-size", "16", "--device", "cpu", "--averaging", "0.5", "--seed", "7", "--learning-rate", "0.02"]
    words += ["--batch-size", "4", "--deterministic"]
    return [sys.executable, "-c", "from cnnsvc.cli import app; app()", "train", str(folder), *words, *flags]


def _options(backend: str = "jax") -> dict[str, Any]:
    kept = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    # A shell that starts the tests in its background has them, and so this program, ignore Ctrl-C.
    heed_interrupts = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return {
        "cwd": ROOT,
        "env": {**kept, VARIABLE: backend},
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
        "preexec_fn": heed_interrupts,
    }


def _run(command: list[str], backend: str = "jax") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, **_options(backend), timeout=280)


@dataclass(frozen=True)
class Whole:
    """A run under JAX that nothing cut."""

    done: "subprocess.CompletedProcess[str]"
    models_dir: Path


@pytest.fixture(scope="module")
def whole(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    models_dir = tmp_path_factory.mktemp("whole")
    return Whole(_run(_command(shapes, models_dir)), models_dir)


@needs_jax
def test_jax_trains_a_bundle_that_tensorflow_exports_and_proves(whole: Whole, shapes: Path, tmp_path: Path) -> None:
    """The same images are chosen as under TensorFlow and named right as well; the manifest tells the backend."""
    assert whole.done.returncode == 0, whole.done.stderr
    bundle = open_bundle(whole.models_dir / "shapes/1")
    assert whole.done.stdout == f"{bundle.path}\n"
    under_tensorflow = _run(_command(shapes, tmp_path), "tensorflow")
    assert under_tensorflow.returncode == 0, under_tensorflow.stderr
    one, other = bundle.manifest, open_bundle(tmp_path / "shapes/1").manifest
    assert re.fullmatch(r"jax \d+\.\d+\.\d+", one.training["backend"])
    assert other.training["backend"].startswith("tensorflow ")
    assert one.training["data"] == other.training["data"]
    assert one.artifacts.keys() == other.artifacts.keys()
    for manifest in (one, other):
        assert manifest.artifacts["model.onnx"].accuracy >= 0.8
        assert manifest.artifacts["model.onnx"].top1_agreement == 1
    # Nothing but what a run under TensorFlow says: no notices of libraries, no traces of the other process.
    beginnings = [[line[:8] for line in done.stderr.splitlines()] for done in (whole.done, under_tensorflow)]
    assert beginnings[0] == beginnings[1]
    assert [path.name for path in whole.models_dir.iterdir()] == ["shapes"]


@needs_jax
def test_killed_and_gone_on_with_it_has_the_same_weights(whole: Whole, shapes: Path, tmp_path: Path) -> None:
    """After kill -9 --resume under JAX gives the weights of an unbroken run, bit by bit."""
    with subprocess.Popen(_command(shapes, tmp_path), **_options()) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("epoch 3/"):
                process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL

    done = _run(_command(shapes, tmp_path, "--resume"))
    assert done.returncode == 0, done.stderr
    assert "going on after epoch" in done.stderr
    assert "epoch 1/" not in done.stderr
    one, other = (open_bundle(folder / "shapes/1").manifest for folder in (tmp_path, whole.models_dir))
    weights = "variables/variables.data-00000-of-00001"
    assert one.files[weights] == other.files[weights]


@needs_jax
@pytest.mark.parametrize("moment", ["epoch 2/", "writing the SavedModel"])
def test_ctrl_c_ends_both_processes(shapes: Path, tmp_path: Path, moment: str) -> None:
    """While it trains and while it exports: status 130, no traceback, only the checkpoint left, no process left."""
    with subprocess.Popen(_command(shapes, tmp_path, "--epochs", "3"), **_options()) as process:
        children = _wait_for(process, moment)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        rest = process.stderr.read()
    assert process.returncode == 130, rest
    assert "Traceback" not in rest
    assert [file.parent.name for file in tmp_path.rglob("*") if file.is_file()] == [".training"]
    assert len(children) == (moment == "writing the SavedModel")
    assert not any(Path(f"/proc/{child}").exists() for child in children)


@needs_jax
def test_an_export_that_is_killed_is_told(shapes: Path, tmp_path: Path) -> None:
    """What ended the other process, the memory's end for instance, is said in one line, and the checkpoint stays."""
    with subprocess.Popen(_command(shapes, tmp_path, "--epochs", "2"), **_options()) as process:
        (child,) = _wait_for(process, "writing the SavedModel")
        os.kill(child, signal.SIGKILL)
        assert process.stderr is not None
        rest = process.stderr.read()
    assert process.returncode == 1
    assert rest == "cnnsvc: the process that writes and proves the bundle ended with SIGKILL\n"
    assert [path.suffix for path in tmp_path.glob(".training/*")] == [".npz"]


def _wait_for(process: "subprocess.Popen[str]", beginning: str) -> list[int]:
    """Reads on to the line that begins so: the child processes there are then."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if line.startswith(beginning):
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
            return [int(child) for child in children.split()]
    raise AssertionError("".join(said))


@needs_jax
def test_what_a_fit_does_between_epochs_holds_under_jax(shapes: Path) -> None:
    """Averaged weights are those that the recorded accuracy is of, and a loss that is no number ends the run."""
    done = _run([sys.executable, "-m", "tests.training.runs", "averaged_and_broken", str(shapes)])
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["backend"] == "jax"
    assert found["recorded"] == found["accuracy"] > 0.6
    assert found["error"].startswith("the loss became nan in epoch 1, step 1; try a --learning-rate below 0.02")


@needs_jax
def test_what_jax_cannot_do_is_told(shapes: Path) -> None:
    """XLA's page on memory and a GPU that is not there become one line with what to change; other errors stay."""
    # In a process of its own: JAX warns of every fork after it.
    done = _run([sys.executable, "-m", "tests.training.runs", "jax_errors", str(shapes)])
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert re.search(
        r"^TrainingError: .*RESOURCE_EXHAUSTED: Out of memory\); try a smaller --batch-size", found["memory"]
    )
    assert found["other"] == "JaxRuntimeError: INTERNAL: something else"
    assert found["gpu"] == "there" or found["gpu"].startswith("UnsupportedError: --device gpu: JAX finds no GPU here")


def test_another_backend_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    """The error names the variable, what it says and what it may say."""
    done = _run(_command(tmp_path / "nowhere", tmp_path / "models"), "torch")
    assert done.returncode == 1
    assert done.stderr == "cnnsvc: KERAS_BACKEND is 'torch'; allowed are tensorflow, jax\n"


def test_without_jax_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An install without JAX says what to install; without the variable it trains on TensorFlow."""
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "jax" else found(name))
    monkeypatch.setenv(VARIABLE, "jax")
    with pytest.raises(UnsupportedError, match=r"JAX is not installed; install the extra cnnsvc\[jax\]"):
        chosen_backend()
    monkeypatch.delenv(VARIABLE)
    assert chosen_backend() == "tensorflow"
