"""training/run.py: what is refused before TensorFlow loads, and what a dead run leads to."""

import errno
import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from cnnsvc.errors import CnnsvcError, InternalError, TrainingError
from cnnsvc.manifest import ImageShape
from tests.images import write_image_folder
from training.progress import Reporter
from training.run import check_learned, train
from training.settings import TrainSettings
from training.trained import EpochRecord, Labelled, Trained

ROOT = Path(__file__).parents[2]


def _trained(validation_accuracy: float) -> Trained:
    """A run over ten validation images, six of them of one class."""
    no_network: Any = None
    validation = Labelled([], np.zeros((10, 1, 1, 3), np.uint8), np.asarray([0] * 6 + [1] * 4, np.int32))
    history = [EpochRecord(1, 1.0, 0.5, 1.0, validation_accuracy, 100.0, 1.0)]
    image = ImageShape(1, 1, 3)
    return Trained("name", no_network, "26", "C: 4 D:", ["a", "b"], image, validation, history, 1, {})


class FullDisk(Reporter):
    """Fails like a disk at the first thing to say."""

    def say(self, text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_network_that_beats_the_largest_class_by_ten_points_passes() -> None:
    """At exactly the least accuracy the run counts as alive, and nothing is said."""
    out = io.StringIO()
    check_learned(_trained(0.7), TrainSettings(), Reporter(Console(file=out)))
    assert out.getvalue() == ""


def test_a_dead_run_is_refused_with_advice() -> None:
    """The error gives the figures, what to try, and the flag that exports it all the same."""
    with pytest.raises(TrainingError) as error:
        check_learned(_trained(0.69), TrainSettings(learning_rate=0.001), Reporter())
    for part in ("did not learn", "0.690", "0.600", "0.700", "--learning-rate below 0.001", "--export-dead"):
        assert part in str(error.value)


def test_a_dead_run_is_exported_when_told_to() -> None:
    """With the flag the same text is a warning."""
    out = io.StringIO()
    check_learned(_trained(0.1), TrainSettings(export_dead=True), Reporter(Console(file=out)))
    assert out.getvalue().startswith("warning: the network did not learn")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"folder": "nowhere"}, "nowhere does not exist"),
        ({"name": "no/name"}, "model name 'no/name'"),
        ({"models_dir": "file/models"}, "file is not a folder one may write to"),
        ({"model": "27"}, "no network is called '27'"),
        ({"arch": "C: 8 D: 0R"}, "notation column"),
        ({"image_size": 8, "arch": "C: 8 p16 D: 4R"}, "pooling_1"),
        ({"validation_split": 0.01}, "leaves none of the 8 images"),
    ],
)
def test_what_cannot_be_trained_is_refused_first(tmp_path: Path, changes: dict[str, Any], complaint: str) -> None:
    """Wrong arguments are told before anything is decoded, trained or written."""
    write_image_folder(tmp_path / "data", 2, 4)
    (tmp_path / "file").touch()
    folder = tmp_path / changes.pop("folder", "data")
    name = changes.pop("name", "shapes")
    models_dir = tmp_path / changes.pop("models_dir", "models")
    with pytest.raises(CnnsvcError, match=complaint):
        train(folder, name, models_dir, replace(TrainSettings(), **changes), reporter=Reporter(Console(quiet=True)))
    assert not (tmp_path / "models").exists()


def test_a_failing_disk_is_a_clear_error(tmp_path: Path) -> None:
    """What the operating system refuses ends the run with its reason, not with a traceback of ours."""
    write_image_folder(tmp_path / "data", 2, 4)
    with pytest.raises(InternalError, match=r"training of 'shapes' stopped: .*No space left on device"):
        train(tmp_path / "data", "shapes", tmp_path / "models", TrainSettings(), reporter=FullDisk())


def test_a_wrong_folder_is_told_without_loading_tensorflow(tmp_path: Path) -> None:
    """A mistyped path costs no seconds: neither TensorFlow nor Keras is imported for it."""
    program = (
        "import sys; from pathlib import Path; from training.run import train; from training.settings import *\n"
        "try: train(Path('nowhere'), 'n', Path(sys.argv[1]), TrainSettings())\n"
        "except Exception as error: print(type(error).__name__)\n"
        "print(*{'tensorflow', 'keras'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["DatasetError"]
