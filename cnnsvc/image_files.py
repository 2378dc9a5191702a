"""The image files that a command line names: files as given, folders searched."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cnnsvc.errors import InvalidError

IMAGE_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"})


def image_files(paths: Iterable[Path]) -> list[Path]:
    """Named files, and the files with an image's suffix below named folders, hidden ones left out; each folder sorted.

    Raises InvalidError for a path that is not there and a folder without images.
    """
    return [file for path in paths for file in _expand(path)]


def _expand(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InvalidError(f"{path} is not there; expected an image or a folder of images")
    found = sorted(
        file
        for file in path.rglob("*")
        if file.suffix.lower() in IMAGE_SUFFIXES and not _is_hidden(file.relative_to(path)) and file.is_file()
    )
    if not found:
        raise InvalidError(f"{path} holds no image; expected files ending in {', '.join(sorted(IMAGE_SUFFIXES))}")
    return found


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
