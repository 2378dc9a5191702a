"""The folder that the processes of one service share.

`lock` says whose it is, `metrics/` holds the files into which each worker counts, `state.json` what all of them have to
agree on (service.service_state).
"""

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cnnsvc.errors import SettingError

_LOCK: Final = "lock"
_METRICS: Final = "metrics"


@contextlib.contextmanager
def opened(path: Path | None) -> Iterator[Path]:
    """The folder, this process' own until the end; None makes a temporary one, gone with the end.

    Raises SettingError where it cannot be written or another service has it.
    """
    with contextlib.ExitStack() as stack:
        try:
            if path is None:
                path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cnnsvc-")))
            path.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context((path / _LOCK).open("w"))
            _lock(lock.fileno(), path)
            _forget(path)
            metrics_dir(path).mkdir()
        except OSError as error:
            raise SettingError(f"--state-dir {path or tempfile.gettempdir()} cannot be used: {error}") from None
        stack.callback(_forget, path)
        yield path


def metrics_dir(state_dir: Path) -> Path:
    return state_dir / _METRICS


def _lock(descriptor: int, path: Path) -> None:
    """For as long as the process lives, however it ends."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SettingError(f"--state-dir {path} is used by another service; each needs its own") from None


def _forget(path: Path) -> None:
    """Counts are of one run: Prometheus knows a start from zero."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(metrics_dir(path))
