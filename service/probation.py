"""When a fresh version has failed too often to stay: pure, no clock."""

from dataclasses import dataclass

from service.registry import Tally


@dataclass(frozen=True)
class ProbationLimits:
    seconds: float
    """From when a version is loaded; the version before it stays loaded as long."""
    max_error_share: float
    """Largest accepted share of images that it fails by our own fault, 0..1."""
    min_images: int
    """Fewer tell nothing."""


def fails(tally: Tally, age_seconds: float, limits: ProbationLimits) -> bool:
    """Whether a version of this age is to be rolled back."""
    num_images = tally.num_answered + tally.num_failed
    if age_seconds > limits.seconds or num_images < limits.min_images:
        return False
    return tally.num_failed > limits.max_error_share * num_images
