"""The state of a run after each epoch, on disk, so that a killed run goes on where it was.

A checkpoint is one file, replaced whole: at whatever moment a run is killed or a disk is full, the earlier one stays.
"""

import hashlib
import os
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from cnnsvc.errors import InternalError, InvalidError
from training.trained import EpochRecord

_FORMAT: Final = 1


@dataclass(frozen=True)
class State:
    """Everything that the next epoch depends on; the order of images depends on seed and epoch alone."""

    history: list[EpochRecord]
    """Of the epochs that are done, at least one."""
    variables: list[NDArray[Any]]
    """Of the network, its random generators and its optimiser, in Keras' order."""
    best_weights: list[NDArray[Any]]


class _Header(msgspec.Struct):
    format: int
    identity: dict[str, Any]
    history: list[EpochRecord]
    num_variables: int


class Checkpoint:
    """Of one run: the same data, settings and network have the same file, any others another one."""

    def __init__(self, folder: Path, name: str, identity: dict[str, Any]) -> None:
        """`identity` is what makes the run what it is, JSON-ready."""
        # As it reads back from JSON, where a tuple is a list.
        self._identity: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(identity))
        digest = hashlib.sha256(msgspec.json.encode(identity, order="deterministic")).hexdigest()
        self._folder, self._name = folder, name
        self.path = folder / f"{name}-{digest[:16]}.npz"

    def exists(self) -> bool:
        return self.path.exists()

    def save(self, state: State) -> None:
        """Raises InternalError where it cannot be written; the one before stays."""
        header = _Header(_FORMAT, self._identity, state.history, len(state.variables))
        arrays = [np.frombuffer(msgspec.json.encode(header), np.uint8), *state.variables, *state.best_weights]
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._replace(arrays)
        except OSError as error:
            kept = f"; {self.path} of an earlier epoch is intact, --resume goes on from it" if self.exists() else ""
            reason = error.strerror or error
            raise InternalError(f"no checkpoint can be written into {self._folder}: {reason}{kept}") from error

    def load(self) -> State:
        """Raises InvalidError for a bad one or none, telling what differs from another run of the same name."""
        if not self.exists():
            raise InvalidError(
                f"--resume: {self._absence()}; expected a run that was cut, with the same data and flags"
            )
        header, arrays = _read(self.path)
        return State(header.history, arrays[: header.num_variables], arrays[header.num_variables :])

    def remove(self) -> None:
        """Once the run is over; the folder goes with the last one in it."""
        self.path.unlink(missing_ok=True)
        if self._folder.is_dir() and not any(self._folder.iterdir()):
            self._folder.rmdir()

    def _replace(self, arrays: list[NDArray[Any]]) -> None:
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix=f".{self.path.stem}-", delete=False) as file:
            try:
                np.savez(file, *arrays)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(self.path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise

    def _absence(self) -> str:
        others = sorted(self._folder.glob(f"{self._name}-*.npz"), key=lambda path: path.stat().st_mtime)
        if not others:
            return f"{self._folder} has no checkpoint of {self._name!r}"
        other = _read(others[-1])[0].identity
        differing = [key for key in self._identity if self._identity[key] != other.get(key)]
        shown = ", ".join(
            f"{key} is {_short(self._identity[key])} and was {_short(other.get(key))}" for key in differing
        )
        return f"{others[-1]} is of another run: {shown}"


def _read(path: Path) -> tuple[_Header, list[NDArray[Any]]]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            header, *arrays = (content[key] for key in content)
        decoded = msgspec.json.decode(header.tobytes(), type=_Header)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, msgspec.MsgspecError) as error:
        raise InvalidError(f"{path} is not a checkpoint: {error}; delete it, or train without --resume") from None
    if decoded.format != _FORMAT:
        raise InvalidError(f"{path} has format {decoded.format}; this program reads {_FORMAT}")
    return decoded, arrays


def _short(value: Any) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 40 else text[:40] + "…"
