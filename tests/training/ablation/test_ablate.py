"""`cnnsvc ablate`: a table of what each measure does, from trainings that a cut does not lose."""

import functools
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.images import write_image_folder
from training.ablation.study import read

ROOT = Path(__file__).parents[3]
FLAGS = (
    "--arch",
    "C: 4n d25% D: 8R",
    "--image-size",
    "16",
    "--device",
    "cpu",
    "--seeds",
    "2",
    "--learning-rate",
    "0.02",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_image_folder(tmp_path / "train", 2, 12, 16)
    write_image_folder(tmp_path / "test", 2, 4, 16)
    return tmp_path


@pytest.mark.slow
def test_a_cut_study_goes_on_and_prints_its_table(folder: Path) -> None:
    """Ctrl-C ends it with what is done on file and no process left; the next call trains the rest alone."""
    results = folder / "found.jsonl"
    with subprocess.Popen(command(folder, results, "--processes", "1", "--epochs", "80"), **options()) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("plain recipe, seed 100: validation accuracy"):
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()  # ends when the last process that holds it does
        assert process.wait(timeout=60) == 130, rest
    assert "Traceback (most recent call last)" not in rest
    assert [outcome.trial.measure for outcome in read(results)] == ["plain recipe"]

    done = subprocess.run(command(folder, results, "--processes", "2", "--epochs", "2"), **options(), timeout=200)
    assert done.returncode == 0, done.stderr
    assert "4 trainings, of which 1 are in" in done.stderr
    assert len(read(results)) == 4
    assert {outcome.notation for outcome in read(results)} == {"C: 4n d¼ D: 8R", "C: 4n D: 8R"}
    assert re.search(r"^\| plain recipe \| 2 \| [01]\.\d+ ± ", done.stdout, re.MULTILINE)
    assert re.search(r"^\| no dropout \| 2 \| .* ± 0\.\d+ \|$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (("--measure", "luck"), "no measure is called 'luck'"),
        (("--test", "nowhere"), "nowhere does not exist"),
        (("--epochs", "0"), "--epochs"),
    ],
)
def test_what_cannot_be_studied_is_told_before_tensorflow_loads(
    folder: Path, extra: tuple[str, ...], said: str
) -> None:
    """Wrong flags end before TensorFlow loads, with status 2 and a line that says what is allowed."""
    done = subprocess.run(command(folder, folder / "found.jsonl", *extra), **options(), timeout=60)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (folder / "found.jsonl").exists()


def test_a_file_that_is_no_studys_is_refused(folder: Path) -> None:
    """It is not added to."""
    file = folder / "found.jsonl"
    file.write_text("epoch,accuracy\n")
    done = subprocess.run(command(folder, file, "--epochs", "1"), **options(), timeout=60)
    assert done.returncode == 2
    assert "found.jsonl is not the file of a study" in done.stderr
    assert file.read_text() == "epoch,accuracy\n"


def command(folder: Path, results: Path, *extra: str) -> list[str]:
    return [
        *(sys.executable, "-c", "from cnnsvc.cli import app; app()", "ablate", str(folder / "train")),
        *("--test", str(folder / "test"), "--results", str(results), "--measure", "no dropout", *FLAGS, *extra),
    ]


def options() -> dict[str, Any]:
    # A shell that starts the tests in its background has them, and so this program, ignore Ctrl-C.
    heed_interrupts = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return {"cwd": ROOT, "env": {**os.environ}, "preexec_fn": heed_interrupts, **pipes}
