"""One call of a load, whatever carries it: what is asked, and the answer or the failure that came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from cnnsvc.classification import Timings
from cnnsvc.identity import NOBODY, Identity

NO_ANSWER: Final = "no answer"
"""The status of a call that got none from a server."""


@dataclass(frozen=True, slots=True)
class Query:
    """What every call of a load asks; each sends one of the images."""

    images: Sequence[bytes]
    model: str = ""
    version: int = 0
    top_k: int | None = None
    timeout_ms: int = 30_000
    identity: Identity = NOBODY


@dataclass(frozen=True, slots=True)
class Answer:
    """The model that answered, and where it says the time went."""

    model: str
    version: int
    timings: Timings


@dataclass(frozen=True, slots=True)
class Failure:
    status: str
    """Of the protocol, such as 429 or RESOURCE_EXHAUSTED, or NO_ANSWER."""
    kind: str
    """The word of cnnsvc.errors.Kind, or "" where another program answered."""
    message: str


Outcome = Answer | Failure


class Caller(Protocol):
    """Asks a server; one task at a time uses it."""

    async def ask(self, place: int) -> Outcome:
        """What became of the image at this place among the query's; raises nothing that a server can cause."""
        ...

    async def close(self) -> None: ...
