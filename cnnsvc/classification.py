"""What one image turned out to be, and who can say so: a running server or a bundle on this machine."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from cnnsvc.errors import CnnsvcError, InvalidError

Image = bytes | str | os.PathLike[str]
"""An encoded image, or the path of a file that holds one."""
Key = TypeVar("Key")
"""What a caller names an image by."""


class ScoredClass(NamedTuple):
    name: str
    score: float
    """Softmax probability, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the server's time for an image went; of many images in one call, the slowest of each stage."""

    decode_ms: float
    queue_ms: float
    inference_ms: float
    total_ms: float


@dataclass(frozen=True, slots=True)
class Classification:
    model: str
    version: int
    classes: tuple[ScoredClass, ...]
    """Best first."""
    timings: Timings | None = field(default=None, compare=False)
    """None where no server was asked."""
    rejected: bool = False
    """Whether the image is of none of the classes: its best score is below the model's threshold."""

    @property
    def best(self) -> ScoredClass:
        return self.classes[0]


Outcome = Classification | CnnsvcError
"""Of one image among many: what it is, or why that is not known."""


class Classifier(Protocol):
    """May be called from several threads at once."""

    def classify(self, image: Image, top_k: int | None = None) -> Classification:
        """Raises CnnsvcError."""
        ...

    def classify_stream(
        self, images: Iterable[tuple[Key, Image]], top_k: int | None = None, *, in_order: bool = False
    ) -> Iterator[tuple[Key, Outcome]]:
        """One outcome an image, by the caller's key; only a few images are held at a time."""
        ...

    def close(self) -> None: ...


def read_image(image: Image) -> bytes:
    """The encoded image. Raises InvalidError where its file cannot be read."""
    if isinstance(image, bytes):
        return image
    try:
        return Path(image).read_bytes()
    except OSError as error:
        raise InvalidError(f"cannot be read: {error.strerror}") from None
