"""Outcomes of networks that nobody trained, as tests of the pure parts need them."""

from collections.abc import Sequence

from training.search.outcome import Candidate, Outcome, Status
from training.trained import EpochRecord


def curve(validation: Sequence[float], training: float | Sequence[float] = 0.9) -> tuple[EpochRecord, ...]:
    """One epoch for each validation accuracy."""
    reached = [training] * len(validation) if isinstance(training, float) else training
    return tuple(
        EpochRecord(epoch, 0.5, one, 0.7, accuracy, 100.0, 1.0)
        for epoch, (one, accuracy) in enumerate(zip(reached, validation, strict=True), start=1)
    )


def outcome(
    name: str,
    validation: Sequence[float] = (),
    *,
    parameters: int = 1000,
    training: float | Sequence[float] = 0.9,
    status: Status = Status.FINISHED,
    reason: str = "",
) -> Outcome:
    candidate = Candidate(name, f"C: 8 | 8 D: {len(name)}R", parameters)
    return Outcome(candidate, status, curve(validation, training), reason, "node")
