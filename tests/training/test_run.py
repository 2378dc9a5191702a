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

from cnnsvc.errors import CnnsvcError, DatasetError, InternalError, InvalidError, TrainingError
from cnnsvc.manifest import ImageShape
from tests.images import write_image_folder
from training.prepare import check_judgeable
from training.progress import Reporter
from training.run import check_learned, learn, train
from training.settings import TrainSettings
from training.trained import EpochRecord, Labelled, Trained

ROOT = Path(__file__).parents[2]


def _trained(validation_accuracy: float) -> Trained:
    """A run over ten validation images, six of them of one class."""
    no_network: Any = None
    validation = Labelled([], np.zeros((10, 1, 1, 3), np.uint8), np.asarray([0] * 6 + [1] * 4, np.int32), [])
    history = [EpochRecord(1, 1.0, 0.5, 1.0, validation_accuracy, 100.0, 1.0)]
    image = ImageShape(1, 1, 3)
    calibration = validation.images_nhwc[:1]
    names = ["a", "b"]
    return Trained("name", no_network, "26", "C: 4 D:", names, image, validation, calibration, history, 1, {}, Path())


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
        check_learned(_trained(0.6), TrainSettings(learning_rate=0.001), Reporter())
    figures = "6 of 10 validation images right (0.600); always naming the largest class gets 6 (0.600)"
    for part in ("did not learn", figures, "at least 7.", "--learning-rate below 0.001", "--export-dead"):
        assert part in str(error.value)


def test_advice_can_be_followed() -> None:
    """A learning rate that is the smallest already is not advised to be smaller."""
    with pytest.raises(TrainingError, match="--learning-rate above 1e-07"):
        check_learned(_trained(0.6), TrainSettings(learning_rate=1e-7), Reporter())


def test_one_class_to_validate_on_judges_nothing(tmp_path: Path) -> None:
    """It is refused before anything is decoded, with the flags that help; told to, it is a warning."""
    write_image_folder(tmp_path / "data", 3, 2)
    out = io.StringIO()
    with pytest.raises(DatasetError, match=r"validate on, 1, are of one class.*--validation-split above 0\.25"):
        learn(tmp_path / "data", "shapes", TrainSettings(), Reporter(Console(file=out)))
    assert "decoding" not in out.getvalue()
    settings = TrainSettings(export_dead=True)
    check_judgeable(np.zeros(3, np.int32), settings, Reporter(Console(file=out, width=1000)))
    assert "warning: the images to validate on, 3, are of one class" in out.getvalue()


def test_what_the_split_lacks_is_told(tmp_path: Path) -> None:
    """Few validation images are warned of, and of the classes without any only ten are named."""
    for index in range(30):
        (tmp_path / f"data/c{index:02d}").mkdir(parents=True)
        for number in range(3):
            (tmp_path / f"data/c{index:02d}/{number}.png").write_bytes(b"no image")
    out = io.StringIO()
    with pytest.raises(DatasetError, match="no readable training image"):
        learn(tmp_path / "data", "shapes", TrainSettings(validation_split=0.2), Reporter(Console(file=out)))
    assert "warning: fewer than 20 images to validate on" in out.getvalue()
    (line,) = [line for line in out.getvalue().splitlines() if "no validation image of" in line]
    assert line.count(", c") == 9
    assert "more classes; their accuracy stays unknown" in line


def test_a_network_for_no_machine_is_refused_first(tmp_path: Path) -> None:
    """Parameters that no memory holds are counted before anything is decoded."""
    write_image_folder(tmp_path / "data", 3, 8)
    with pytest.raises(TrainingError, match="no memory for this network: 34789237194755 parameters"):
        learn(tmp_path / "data", "shapes", TrainSettings(arch="C: 65536 D: 65536 ", image_size=180), Reporter())


@pytest.mark.parametrize(
    ("models_dir", "complaint"),
    [
        ("link/models", "link is not a folder one may write to"),
        ("loop/models", "Too many levels of symbolic links"),
        ("m" * 300, "File name too long"),
        ("mod\udce8les", "mod\N{REPLACEMENT CHARACTER}les/shapes: TensorFlow takes names in UTF-8 only"),
    ],
)
def test_where_no_bundle_can_be_written(tmp_path: Path, models_dir: str, complaint: str) -> None:
    """A link to nothing, a link to itself and names that cannot be are told before the training."""
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(InvalidError, match=complaint):
        train(tmp_path / "data", "shapes", tmp_path / models_dir, TrainSettings())


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
