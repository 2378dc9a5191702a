"""The export in a process of its own, whose Keras runs on TensorFlow, for a network that another backend trained.

Keras keeps the backend that it was imported with. Only `export_apart` runs this module.
"""

import contextlib
import ctypes
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from cnnsvc import errors
from cnnsvc.engines.base import Scores
from cnnsvc.errors import CnnsvcError, ExportError, InternalError
from training.backend import TENSORFLOW, load_backend, with_tensorflow
from training.catalogue import resolve
from training.export.agreement import Agreement
from training.quiet import quiet_loading
from training.settings import TrainSettings
from training.trained import Trained

_COMMAND: Final = (sys.executable, "-P", "-m", "training.export.process")
_IMAGES_NAME: Final = "validation.npy"
_PR_SET_PDEATHSIG: Final = 1
_CLEANUP_SECONDS: Final = 20.0


@dataclass(frozen=True)
class _Task:
    trained: Trained
    """Without the network and without the validation images, which lie in a file to be mapped."""
    weights: list[NDArray[Any]]
    """In the order of get_weights."""
    scores_nk: Scores
    """Of the validation images, by the backend that trained."""
    models_dir: Path
    folder: Path


class _Message(msgspec.Struct, omit_defaults=True):
    """One line of the process's answer: a step, the path at the end, or an error."""

    step: str | None = None
    path: str | None = None
    error: str | None = None
    error_class: str = ""


def export_apart(trained: Trained, scores_nk: Scores, models_dir: Path, *, on_step: Callable[[str], None]) -> Path:
    """As training.export.bundle.export_bundle; `scores_nk` are the network's own of the validation images.

    Raises ExportError also where TensorFlow's are others. Ctrl-C ends the process too.
    """
    with tempfile.TemporaryDirectory(prefix="cnnsvc-export-") as name:
        folder = Path(name)
        np.save(folder / _IMAGES_NAME, trained.validation.images_nhwc)
        without = replace(trained.validation, images_nhwc=trained.validation.images_nhwc[:0])
        task = _Task(
            trained=replace(trained, network=None, validation=without, checkpoint=None),
            weights=trained.network.get_weights(),
            scores_nk=scores_nk,
            models_dir=models_dir.absolute(),
            folder=folder,
        )
        # In a group of its own: a Ctrl-C is for this process, which then ends that one.
        process = subprocess.Popen(  # noqa: S603  # our own program
            _COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=with_tensorflow(), process_group=0
        )
        try:
            return models_dir / _answer(process, task, on_step)
        finally:
            _end(process)


def _answer(process: subprocess.Popen[bytes], task: _Task, on_step: Callable[[str], None]) -> Path:
    """The path relative to the folder of models."""
    assert process.stdin
    assert process.stdout
    with contextlib.suppress(BrokenPipeError):  # it ended early, of which its status tells
        pickle.dump(task, process.stdin)
        process.stdin.close()
    for line in process.stdout:
        message = msgspec.json.decode(line, type=_Message)
        if message.step is not None:
            on_step(message.step)
        elif message.path is not None:
            return Path(message.path)
        else:
            raise getattr(errors, message.error_class, OSError)(message.error)
    status = process.wait()
    how = f"status {status}" if status >= 0 else signal.Signals(-status).name
    raise InternalError(f"the process that writes and proves the bundle ended with {how}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """It takes away what it has written so far, unless it does not come to that."""
    process.terminate()  # nothing, where it has ended
    try:
        process.wait(_CLEANUP_SECONDS)
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        for pipe in (process.stdin, process.stdout):
            if pipe:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def _export(task: _Task, on_step: Callable[[str], None]) -> Path:
    with quiet_loading():
        from training.evaluate import predict_batch_size, predict_scores
        from training.export.bundle import export_bundle
        from training.network import build_network

        backend = load_backend(TENSORFLOW)
        backend.choose_device(TrainSettings(device="cpu"))  # a GPU's memory is with the process that trained
    trained = task.trained
    architecture = resolve(None, trained.notation).architecture
    with backend.memory_errors_told():
        network = build_network(architecture, trained.image, len(trained.class_names), seed=None)
        network.set_weights(task.weights)
        images_nhwc = np.load(task.folder / _IMAGES_NAME, mmap_mode="r")
        trained = replace(trained, network=network, validation=replace(trained.validation, images_nhwc=images_nhwc))
        found_nk = predict_scores(network, images_nhwc, batch_size=predict_batch_size(network))
        _check_same(task.scores_nk, found_nk, trained)
        return export_bundle(trained, task.models_dir, on_step=on_step)


def _check_same(expected_nk: Scores, found_nk: Scores, trained: Trained) -> None:
    """Raises ExportError where the network under TensorFlow is not the one that was trained."""
    agreement = Agreement(f"the network trained by {trained.facts['backend']}", "tensorflow", "pixels")
    agreement.add(expected_nk, found_nk, trained.validation.labels)
    if not agreement.is_accepted:
        raise ExportError(agreement.describe())


def _stop(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def main() -> None:
    signal.signal(signal.SIGTERM, _stop)
    with contextlib.suppress(OSError, AttributeError):
        # Whoever trained may be killed: nobody is left to tell then. See prctl(2).
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    # What a library may print must not get into the answer.
    with os.fdopen(os.dup(1), "wb", buffering=0) as answer:
        os.dup2(2, 1)
        with sys.stdin.buffer as given:
            task: _Task = pickle.load(given)  # noqa: S301  # of the process that started this one
        _say(answer, _outcome(task, lambda text: _say(answer, _Message(step=text))))
        os._exit(0)  # libraries take their time to end in order


def _outcome(task: _Task, on_step: Callable[[str], None]) -> _Message:
    try:
        path = _export(task, on_step)
    except (CnnsvcError, OSError) as error:
        return _Message(error=str(error), error_class=type(error).__name__)
    return _Message(path=str(path.relative_to(task.models_dir)))


def _say(answer: IO[bytes], message: _Message) -> None:
    answer.write(msgspec.json.encode(message) + b"\n")


if __name__ == "__main__":
    main()
