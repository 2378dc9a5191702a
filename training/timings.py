"""How long the parts of a training took."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Timings:
    """Seconds by the clock; 0 is of what did not happen."""

    inspection_seconds: float = 0.0
    """Every file read and decoded once, small."""
    decoding_seconds: float = 0.0
    """Every file decoded into the cache."""
    training_seconds: float = 0.0
    """All epochs, validation included."""
    export_seconds: float = 0.0
    """Every form written and proven."""


UNTIMED: Final = Timings()
