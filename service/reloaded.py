"""What files hold, read again when they change; where the new ones cannot be used, what was read before holds."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")

_log = logging.getLogger("cnnsvc.files")


class Reloaded(Generic[T]):
    def __init__(self, what: str, paths: Sequence[Path], read: Callable[[], T]) -> None:
        """Raises what `read` does."""
        self.what = what
        self.is_refused = False
        """Whether what lies there now is not what is used."""
        self._paths = paths
        self._read = read
        self._seen = self._signature()
        self.current = read()

    def refresh(self) -> None:
        """Reads again if a file has changed since, or could not be used: what keeps it from that may have gone."""
        signature = self._signature()
        is_new = signature != self._seen
        if not is_new and not self.is_refused:
            return
        self._seen = signature
        try:
            self.current = self._read()
        except Exception as error:  # whatever it is, what was read before holds
            self.is_refused = True
            if is_new:
                _log.error(
                    "the file of %s changed and cannot be used; what was read before holds: %s", self.what, error
                )
        else:
            self.is_refused = False
            _log.info("the file of %s changed and is used from now on", self.what)

    def _signature(self) -> list[object]:
        return [_stamp(path) for path in self._paths]


def _stamp(path: Path) -> object:
    try:
        found = path.stat()
    except OSError as error:
        return error.errno
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size
