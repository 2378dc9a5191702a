"""training/tensorflow_backend.py: the choice of device and precision, several devices, determinism."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cnnsvc.engines.openvino import has_bfloat16
from cnnsvc.errors import TrainingError, UnsupportedError
from tests.images import write_image_folder
from training.settings import Precision, TrainSettings

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """25 images to train on, so that batches of 8 leave one for the last batch; 8 to validate."""
    folder = tmp_path_factory.mktemp("shapes") / "data"
    write_image_folder(folder, 3, 11, 16)
    return folder


def _run(mode: str, folder: Path) -> list[dict[str, Any]]:
    """JSON printed by a process of its own: TensorFlow's devices and determinism are set once a process."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.training.runs", mode, str(folder)],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_without_a_gpu_auto_is_the_cpu() -> None:
    """The CPU trains without XLA, which is slower there, in bfloat16 where it computes in it, or as it is told."""
    from training.tensorflow_backend import choose_device

    policy = "mixed_bfloat16" if has_bfloat16() else "float32"
    device = choose_device(TrainSettings(device="cpu"))
    assert device.description.startswith("CPU, ")
    assert (device.dtype_policy, device.jit_compile, device.num_devices) == (policy, False, 1)
    assert choose_device(TrainSettings(device="cpu", precision="float32")).dtype_policy == "float32"
    assert choose_device(TrainSettings(device="cpu", precision="mixed_bfloat16")).dtype_policy == "mixed_bfloat16"


def test_a_gpu_that_is_not_there_is_refused_with_the_extra() -> None:
    """The error names the extra that brings GPU support."""
    import tensorflow as tf

    from training.tensorflow_backend import choose_device

    choose_device(TrainSettings(device="cpu"))  # hides the GPUs of a machine that has some
    if tf.config.list_physical_devices("GPU"):
        assert choose_device(replace(TrainSettings(), device="gpu")).dtype_policy
        return
    with pytest.raises(UnsupportedError, match=r"cnnsvc\[gpu\]"):
        choose_device(TrainSettings(device="gpu"))


@pytest.mark.parametrize(
    ("precision", "capabilities", "policy"),
    [
        ("auto", [(9, 0)], "mixed_bfloat16"),
        ("auto", [(9, 0), (7, 5)], "mixed_float16"),
        ("auto", [(6, 1)], "float32"),
        ("float32", [(9, 0)], "float32"),
    ],
)
def test_gpus_get_the_precision_they_gain_from(
    precision: Precision, capabilities: list[tuple[int, int]], policy: str
) -> None:
    """The weakest GPU decides, and an explicit choice wins."""
    from training.device import gpu_policy

    assert gpu_policy(precision, capabilities) == policy


def test_several_devices_train_one_network(shapes: Path) -> None:
    """Under the mirrored strategy the fit learns, however few images the last batches to train and to validate hold.

    A batch size that the devices cannot share evenly is lowered, of which a line tells.
    """
    (found,) = _run("four_devices", shapes)
    assert found["description"] == "4 devices: logical CPUs"
    assert found["said"].startswith("--batch-size 10 becomes 8, a multiple of 4 devices\n")
    assert found["validation_accuracy"] >= 0.6
    assert 0 < found["training_loss"] < 10


def test_memory_that_runs_out_is_told_in_one_line() -> None:
    """TensorFlow's error becomes ours, with what to change."""
    import tensorflow as tf

    from training.tensorflow_backend import memory_errors_told

    with (
        pytest.raises(TrainingError, match=r"not enough memory \(OOM when allocating\); try a smaller --batch-size"),
        memory_errors_told(),
    ):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating\nand much more")


def test_deterministic_runs_are_equal_bit_for_bit(shapes: Path) -> None:
    """The same seed gives the same weights in two processes, dropout and augmentation included."""
    assert _run("deterministic", shapes) == _run("deterministic", shapes)
