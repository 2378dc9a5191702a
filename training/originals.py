"""The encoded files behind the images: read once to train on them, and once more to prove what was exported.

Hours may lie between the two, so a file that has gone or changed meanwhile is no error the second time.
"""

import hashlib
from pathlib import Path
from typing import Final

from cnnsvc.errors import ImageError, TooLargeError
from training.trained import Labelled

LIMIT_FILE_BYTES: Final = 256 * 2**20
"""No picture within the limit of pixels is larger; what is, is something else by an image's name."""


def read_file(file: Path) -> bytes:
    """Its content. Raises ImageError where there is none to be had, TooLargeError above the limit."""
    try:
        if not file.is_file():  # opening a pipe would wait for ever
            raise ImageError("not a regular file" if file.exists() else "a link to nothing")
        if (num_bytes := file.stat().st_size) > LIMIT_FILE_BYTES:
            raise TooLargeError(f"the file has {num_bytes} bytes; allowed are {LIMIT_FILE_BYTES}")
        return file.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror}") from None


def read_again(labelled: Labelled, row: int) -> bytes | None:
    """The file of that row as it was when it was decoded; None where it is gone or another one by now."""
    try:
        content = read_file(labelled.files[row])
    except (ImageError, TooLargeError):
        return None
    return content if sha256_of(content) == labelled.sha256s[row] else None


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
