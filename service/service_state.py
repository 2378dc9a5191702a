"""What operators decided while the service ran, on which all its workers have to agree: labels, splits, versions.

With a state folder it is one JSON file, replaced as a whole by whoever changes it, and outlives the service; without
one it is in memory.
"""

import contextlib
import fcntl
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from cnnsvc.bundle import write_atomically
from cnnsvc.errors import SettingError

STATE_NAME: Final = "state.json"
_LOCK_NAME: Final = "state.lock"
_FORMAT: Final = 1

_log = logging.getLogger("cnnsvc.state")


class Withdrawal(msgspec.Struct, frozen=True):
    """A version that must not be served, until its files change or it is asked for again."""

    reason: str
    fingerprint: str


class ModelState(msgspec.Struct, frozen=True):
    """The decisions about one model."""

    labels: dict[str, int] = {}
    """Versions by label."""
    split: dict[str, int] = {}
    """Weights by label, for calls that name neither a version nor a label; empty: the default version answers."""
    loaded: list[int] = []
    """Versions to serve whatever the policy says."""
    withdrawn: dict[int, Withdrawal] = {}


class ServiceState(msgspec.Struct, frozen=True):
    format: int = _FORMAT
    models: dict[str, ModelState] = {}

    def model(self, name: str) -> ModelState:
        return self.models.get(name, ModelState())

    def with_model(self, name: str, model: ModelState) -> "ServiceState":
        return msgspec.structs.replace(self, models={**self.models, name: model})


class StateStore:
    def __init__(self, folder: Path | None = None) -> None:
        """Raises SettingError where there is a file that this program cannot read."""
        self._folder = folder
        self._state = ServiceState()
        if folder:
            self._state = _read(folder / STATE_NAME)

    @property
    def state(self) -> ServiceState:
        """As last read or changed."""
        return self._state

    def refresh(self) -> bool:
        """Reads what another worker may have changed: whether it has. A file that became unreadable changes nothing."""
        if not self._folder:
            return False
        try:
            found = _read(self._folder / STATE_NAME)
        except SettingError as error:
            _log.error("the state stays as it was: %s", error)
            return False
        has_changed = found != self._state
        self._state = found
        return has_changed

    def change(self, name: str, decide: Callable[[ModelState], ModelState]) -> ModelState:
        """The decisions about a model, changed and kept. Raises OSError where they cannot be kept."""
        with self._locked():
            self.refresh()
            changed = decide(self._state.model(name))
            state = self._state.with_model(name, changed)
            if self._folder:
                text = msgspec.json.format(msgspec.json.encode(state), indent=2).decode()
                write_atomically(self._folder / STATE_NAME, text + "\n")
            self._state = state
            return changed

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        if not self._folder:
            yield
            return
        with (self._folder / _LOCK_NAME).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _read(path: Path) -> ServiceState:
    try:
        state = msgspec.json.decode(path.read_bytes(), type=ServiceState)
    except FileNotFoundError:
        return ServiceState()
    except (OSError, msgspec.MsgspecError) as error:
        raise SettingError(
            f"{path} cannot be read: {error}; mend it, or delete it to forget labels and loads"
        ) from None
    if state.format != _FORMAT:
        raise SettingError(f"{path} has format {state.format}; this program reads format {_FORMAT}")
    return state
