"""A folder of encoded images, each under the SHA-256 of its bytes; past a size the oldest make room."""

from pathlib import Path
from typing import Final

_FOLDER_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
_NAME_CHARS: Final = 64


class ImageStore:
    """For one writer, who alone counts what is in the folder."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Takes over what an earlier one has left. Raises OSError where the folder cannot be made or read."""
        folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        self._folder = folder
        self._max_bytes = max_bytes
        self._sizes = {path.name: path.stat().st_size for path in _images(folder)}
        """In bytes, the oldest image first."""
        self._num_bytes = sum(self._sizes.values())

    def keep(self, digest: str, image: bytes | memoryview) -> None:
        """Raises OSError; the image is not there then. One that is there already stays as old as it is."""
        if digest in self._sizes or len(image) > self._max_bytes:
            return
        while self._num_bytes + len(image) > self._max_bytes:
            self._forget(next(iter(self._sizes)))
        part = self._folder / f"{digest}.part"
        try:
            part.touch(mode=_FILE_MODE)
            part.write_bytes(image)
            part.replace(self._folder / digest)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        self._sizes[digest] = len(image)
        self._num_bytes += len(image)

    def _forget(self, digest: str) -> None:
        (self._folder / digest).unlink(missing_ok=True)
        self._num_bytes -= self._sizes.pop(digest)


def _images(folder: Path) -> list[Path]:
    """The oldest first; other files and folders are none of ours."""
    found = [path for path in folder.iterdir() if len(path.name) == _NAME_CHARS and path.is_file()]
    return sorted(found, key=lambda path: path.stat().st_mtime_ns)
