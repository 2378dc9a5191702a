"""training/checkpoint.py: what is written reads back, and nothing that goes wrong touches the one before."""

import io
import resource
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from cnnsvc.errors import InternalError, InvalidError
from training.checkpoint import Checkpoint, State
from training.progress import Reporter
from training.resume import resumable
from training.settings import TrainSettings
from training.trained import EpochRecord

IDENTITY = {"--epochs": 20, "the network": "C: 4 D: 8R", "--seed": 7}
STATE = State(
    [EpochRecord(1, 1.5, 0.25, 1.25, 0.5, 100.0, 2.0)],
    [np.arange(6, dtype=np.float32).reshape(2, 3), np.asarray([1, 2], np.uint32), np.asarray(12, np.int64)],
    [np.ones((2, 2), np.float32)],
)


def test_a_state_reads_back_as_it_was(tmp_path: Path) -> None:
    """History, variables of every type and shape, and the best weights."""
    Checkpoint(tmp_path / "new", "shapes", IDENTITY).save(STATE)
    found = Checkpoint(tmp_path / "new", "shapes", dict(IDENTITY)).load()
    assert found.history == STATE.history
    for ours, theirs in ((STATE.variables, found.variables), (STATE.best_weights, found.best_weights)):
        assert [(one.dtype, one.shape) for one in ours] == [(one.dtype, one.shape) for one in theirs]
        assert all(np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_a_run_of_other_flags_is_told_what_differs(tmp_path: Path) -> None:
    """Only the very same run is gone on with; the error names each difference, with both values."""
    Checkpoint(tmp_path, "shapes", IDENTITY).save(STATE)
    other = Checkpoint(tmp_path, "shapes", {**IDENTITY, "--epochs": 30, "--new": 1})
    assert not other.exists()
    with pytest.raises(InvalidError, match=r"another run: --epochs is 30 and was 20, --new is 1 and was absent; exp"):
        other.load()
    with pytest.raises(InvalidError, match=r"--resume: .* has no checkpoint of 'flowers'; expected a run that was cut"):
        Checkpoint(tmp_path, "flowers", IDENTITY).load()


def test_a_full_disk_leaves_the_one_before(tmp_path: Path) -> None:
    """A write that fails in the middle is an error that says where to go on; nothing half written stays."""
    checkpoint = Checkpoint(tmp_path, "shapes", IDENTITY)
    checkpoint.save(STATE)
    large = replace(STATE, variables=[np.random.default_rng(0).random(100_000)])
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(InternalError, match=r"no checkpoint can be written into .*; .* --resume goes on"):
            checkpoint.save(large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == [checkpoint.path]
    assert checkpoint.load().history == STATE.history
    assert len(checkpoint.load().variables) == 3


@pytest.mark.parametrize("keep", [0, 10, 400, -1])
def test_a_damaged_one_is_refused(tmp_path: Path, keep: int) -> None:
    """Cut anywhere it is an error of one line that says what to do."""
    checkpoint = Checkpoint(tmp_path, "shapes", IDENTITY)
    checkpoint.save(STATE)
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:keep])
    with pytest.raises(InvalidError, match=r"is not a checkpoint: .*; delete it, or train without"):
        checkpoint.load()


def test_a_removed_one_takes_the_empty_folder_along(tmp_path: Path) -> None:
    """The folder stays as long as another run has a checkpoint in it."""
    one, other = (Checkpoint(tmp_path / "runs", name, IDENTITY) for name in ("one", "other"))
    one.save(STATE)
    other.save(STATE)
    one.remove()
    one.remove()
    assert other.exists()
    other.remove()
    assert not (tmp_path / "runs").exists()


def test_a_person_is_told_of_checkpoints(tmp_path: Path) -> None:
    """That one is gone on from, that one will be replaced, and after a cut that one is left."""
    checkpoint, out = Checkpoint(tmp_path, "shapes", IDENTITY), io.StringIO()
    reporter = Reporter(Console(file=out))
    checkpoint.save(STATE)
    with pytest.raises(KeyboardInterrupt), resumable(checkpoint, TrainSettings(), reporter):
        raise KeyboardInterrupt
    with resumable(checkpoint, TrainSettings(), reporter), resumable(checkpoint, TrainSettings(resume=True), reporter):
        pass
    _, left, anew, on = out.getvalue().splitlines()
    assert left.startswith("the run so far is kept in ")
    assert anew.startswith("starting anew: ")
    assert on.startswith("going on after epoch 1 of 20, ")
