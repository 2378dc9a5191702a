"""What a person is told about checkpoints: that one is gone on from or thrown away, and that one is left by a cut."""

import contextlib
from collections.abc import Iterator

from training.checkpoint import Checkpoint
from training.progress import Reporter
from training.settings import TrainSettings


@contextlib.contextmanager
def resumable(checkpoint: Checkpoint | None, settings: TrainSettings, reporter: Reporter) -> Iterator[None]:
    """Around the fit."""
    if checkpoint and checkpoint.exists():
        if settings.resume:
            num_epochs = len(checkpoint.load().history)
            reporter.say(f"going on after epoch {num_epochs} of {settings.epochs}, kept in {checkpoint.path}")
        else:
            reporter.say(
                f"starting anew: after its first epoch this run replaces {checkpoint.path}, left by a run of the same"
                " data and flags that was cut; --resume would go on from it"
            )
    try:
        yield
    except BaseException:
        if checkpoint and checkpoint.exists():
            reporter.say(f"the run so far is kept in {checkpoint.path}; the same command with --resume goes on from it")
        raise
