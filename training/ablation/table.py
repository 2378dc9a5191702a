"""The effect of each measure as a table: means over seeds, their spread, and the difference to the plain recipe."""

from collections import defaultdict
from dataclasses import dataclass
from statistics import fmean, stdev

from training.ablation.measures import MEASURES, PLAIN
from training.ablation.trial import Outcome


@dataclass(frozen=True)
class Spread:
    mean: float
    deviation: float | None
    """Standard deviation over seeds; None with one seed."""

    def __str__(self) -> str:
        return f"{self.mean:.3f}{_reach(self)}"


@dataclass(frozen=True)
class Effect:
    """One measure; accuracies of the epoch that would be exported."""

    measure: str
    num_seeds: int
    training: Spread
    validation: Spread
    test: Spread | None
    difference: Spread | None
    """To the plain recipe with the same seeds, on the test images where there are some, else on validation."""
    lowest: float
    """Validation accuracy of the worst seed."""

    @property
    def gap(self) -> float:
        return self.training.mean - self.validation.mean


def effects_of(outcomes: list[Outcome]) -> list[Effect]:
    """In the order of the measures."""
    by_measure: defaultdict[str, dict[int, Outcome]] = defaultdict(dict)
    for outcome in outcomes:
        by_measure[outcome.trial.measure][outcome.trial.seed] = outcome
    plain = by_measure.get(PLAIN, {})
    return [_effect(name, by_measure[name], plain) for name in MEASURES if name in by_measure]


def table_of(outcomes: list[Outcome]) -> str:
    """Markdown."""
    lines = [
        "| measure | seeds | training | validation | gap | worst seed | test | difference to plain |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in effects_of(outcomes):
        difference = "" if one.difference is None else signed(one.difference)
        lines.append(
            f"| {one.measure} | {one.num_seeds} | {one.training} | {one.validation} | {one.gap:+.3f} | {one.lowest:.3f}"
            f" | {one.test or ''} | {difference} |"
        )
    return "\n".join(lines)


def _effect(measure: str, outcomes: dict[int, Outcome], plain: dict[int, Outcome]) -> Effect:
    found = list(outcomes.values())
    has_test = all(one.test for one in found)
    pairs = [(outcomes[seed], plain[seed]) for seed in outcomes if seed in plain and measure != PLAIN]
    differences = [_judged(one, has_test) - _judged(other, has_test) for one, other in pairs]
    return Effect(
        measure,
        len(found),
        _spread([one.training[one.best] for one in found]),
        _spread([one.validation[one.best] for one in found]),
        _spread([one.test[one.best] for one in found]) if has_test else None,
        _spread(differences) if differences else None,
        min(one.validation[one.best] for one in found),
    )


def _judged(outcome: Outcome, has_test: bool) -> float:
    return (outcome.test if has_test else outcome.validation)[outcome.best]


def _spread(values: list[float]) -> Spread:
    return Spread(fmean(values), stdev(values) if len(values) > 1 else None)


def signed(spread: Spread) -> str:
    return f"{spread.mean:+.3f}{_reach(spread)}"


def _reach(spread: Spread) -> str:
    return "" if spread.deviation is None else f" ± {spread.deviation:.3f}"
