"""A file of lines that grows by whole lines only, and gives way to a new one past a size; the last five are kept."""

import errno
import io
import os
from pathlib import Path
from typing import Final

NUM_KEPT: Final = 5
"""Files before the present one, from FILE.1, the youngest, to FILE.5."""
_MODE: Final = 0o600


class LineFile:
    """For one writer: two that rotate the same file would lose each other's lines."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        """Raises OSError where the file cannot be opened."""
        self._path = path
        self._max_bytes = max_bytes
        self._file: io.FileIO | None = self._open()

    def append(self, line: bytes) -> None:
        """Raises OSError; nothing of the line is in the file then, so the next one is whole whatever has come between.

        The line is handed to the system, and not forced onto the disk.
        """
        file = self._file = self._file or self._open()
        num_bytes = file.seek(0, os.SEEK_END)
        if num_bytes and num_bytes + len(line) > self._max_bytes:
            file = self._rotate(file)
            num_bytes = 0
        num_written = 0
        try:
            num_written = file.write(line) or 0
        finally:
            if num_written < len(line):
                file.truncate(num_bytes)
        if num_written < len(line):  # what a full disk does before it says so
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))

    def close(self) -> None:
        if self._file:
            self._file.close()

    def _open(self) -> io.FileIO:
        return io.FileIO(self._path, "a", opener=lambda path, flags: os.open(path, flags, _MODE))

    def _rotate(self, file: io.FileIO) -> io.FileIO:
        file.close()
        self._file = None  # where what follows fails, the next line opens the file again
        for number in range(NUM_KEPT - 1, -1, -1):
            older = self._numbered(number)
            if older.exists():
                older.replace(self._numbered(number + 1))
        self._file = self._open()
        return self._file

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path
