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
from cnnsvc.errors import NotReadyError, SettingError

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
    attempts: dict[int, int] = {}
    """How often each version was asked for: a version that was refused is tried again by every worker."""
    class_names: list[str] = []
    """Those that callers know: of the version that answered by default last."""
    policy: str = ""
    """As service.version_policy writes it; "" is the one with which the service was started."""


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
        self._is_kept = True
        if folder:
            self._state = _read(folder / STATE_NAME)

    @property
    def state(self) -> ServiceState:
        """As last read or changed."""
        return self._state

    def refresh(self) -> bool:
        """Reads what another worker may have changed: whether it has. A file that became unreadable changes nothing."""
        if not self._folder or not self._is_kept:
            return False
        try:
            found = _read(self._folder / STATE_NAME, is_new=self._state == ServiceState())
        except SettingError as error:
            _log.error("the state stays as it was: %s", error)
            return False
        has_changed = found != self._state
        self._state = found
        return has_changed

    def change(self, name: str, decide: Callable[[ModelState], ModelState], *, must_be_kept: bool = True) -> None:
        """Changes and keeps the decisions about a model; `decide` gets them as they are at that moment.

        Raises what `decide` raises, and NotReadyError where they cannot be kept; unless they must be, they hold for
        this process then.
        """
        try:
            with self._locked():
                self.refresh()
                state = self._state.with_model(name, decide(self._state.model(name)))
                if self._folder:
                    text = msgspec.json.format(msgspec.json.encode(state), indent=2).decode()
                    write_atomically(self._folder / STATE_NAME, text + "\n")
        except OSError as error:
            if must_be_kept:
                raise NotReadyError(f"the decision cannot be kept in {self._folder}: {error}") from None
            _log.error("a decision about model %s holds for this process only: %s", name, error)
            state, self._is_kept = self._state.with_model(name, decide(self._state.model(name))), False
        else:
            self._is_kept = True
        self._state = state

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        if not self._folder:
            yield
            return
        with (self._folder / _LOCK_NAME).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _read(path: Path, *, is_new: bool = True) -> ServiceState:
    """Where it is new the file may be absent. Raises SettingError."""
    try:
        state = msgspec.json.decode(path.read_bytes(), type=ServiceState)
    except FileNotFoundError:
        if is_new:
            return ServiceState()
        raise SettingError(f"{path} is gone") from None
    except (OSError, msgspec.MsgspecError) as error:
        raise SettingError(
            f"{path} cannot be read: {error}; mend it, or delete it to forget labels and loads"
        ) from None
    if state.format != _FORMAT:
        raise SettingError(f"{path} has format {state.format}; this program reads format {_FORMAT}")
    return state
