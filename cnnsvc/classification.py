"""What one image turned out to be, and who can say so: a running server or a bundle on this machine."""

from dataclasses import dataclass
from typing import Protocol

from cnnsvc.ranking import ScoredClasses


@dataclass(frozen=True)
class Classification:
    model: str
    version: int
    classes: ScoredClasses
    """Best first."""


class Classifier(Protocol):
    """May be called from several threads at once."""

    def classify(self, image_bytes: bytes, top_k: int | None) -> Classification:
        """Raises CnnsvcError."""
        ...

    def close(self) -> None: ...
