"""The choice among the networks of a search by the article's rule, with its reasons.

Highest training and validation accuracy, fewest parameters, stability: the article's words. Ours are what "highest"
means where the images are few: accuracies that chance explains count as equal, and of equals the smaller network wins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from training.intervals import wilson_interval
from training.search.outcome import Outcome, Status, is_unstable
from training.trained import EpochRecord

TRAINING_SLACK: Final = 0.05
"""A training accuracy this far below the leader's still counts as its equal: dropout takes some while it trains."""


@dataclass(frozen=True)
class Choice:
    chosen: Outcome | None
    reasons: tuple[str, ...]
    """Lines for people, in the order of the rule."""


def choose(outcomes: Sequence[Outcome], num_images: int, least_right: int) -> Choice:
    """The network to train, None where none is fit; the validation split has `num_images`.

    `least_right` of them is what a network must name right, or else it learned nothing.
    """
    reasons: list[str] = []
    fit = _fit_ones(outcomes, num_images, least_right, reasons)
    if not fit:
        return Choice(None, (*reasons, "no network is left to choose from"))
    leader = min(fit, key=lambda one: (-_best(one).validation_accuracy, one.candidate.num_parameters))
    best = _best(leader)
    reasons.append(
        f"{leader.candidate.name} leads: validation accuracy {best.validation_accuracy:.3f} at epoch {best.epoch},"
        f" training accuracy {best.training_accuracy:.3f}, {leader.candidate.num_parameters:,} parameters"
    )
    equals = _equals(leader, fit, num_images, reasons)
    chosen = min(equals, key=lambda one: (one.candidate.num_parameters, -_best(one).validation_accuracy))
    reasons.append(
        f"{chosen.candidate.name} is chosen: "
        + (
            f"the fewest parameters of these {len(equals)}, {chosen.candidate.num_parameters:,}"
            if len(equals) > 1
            else "no other one comes up to it"
        )
    )
    return Choice(chosen, tuple(reasons))


def _fit_ones(outcomes: Sequence[Outcome], num_images: int, least_right: int, reasons: list[str]) -> list[Outcome]:
    """Those that trained to their end, learned and were stable; of the others it is said why not."""
    cut = [one for one in outcomes if one.status is Status.CUT]
    if cut:
        reasons.append(
            f"{len(cut)} of {len(outcomes)} networks were cut early, while others were ahead of them; how good they"
            " would have become is not known"
        )
    reasons += [f"{one.candidate.name} is dropped: it failed, {one.reason}" for one in outcomes if _is(one, "failed")]
    fit = []
    for one in outcomes:
        if not _is(one, "finished") or one.best is None:
            continue
        drop, name = one.drop, one.candidate.name
        if round(one.best.validation_accuracy * num_images) < least_right:
            reasons.append(
                f"{name} is dropped: it learned nothing, validation accuracy {one.best.validation_accuracy:.3f}"
            )
        elif drop is not None and is_unstable(drop, num_images):
            reasons.append(
                f"{name} is dropped: unstable, its validation accuracy fell from {drop.before:.3f} to"
                f" {drop.after:.3f} at epoch {drop.epoch}"
            )
        else:
            fit.append(one)
    return fit


def _equals(leader: Outcome, fit: list[Outcome], num_images: int, reasons: list[str]) -> list[Outcome]:
    """The leader and those that chance alone may have put behind it, in both accuracies."""
    best = _best(leader)
    lowest = wilson_interval(best.validation_accuracy, num_images)[0]
    near = [one for one in fit if one is not leader and _best(one).validation_accuracy >= lowest]
    reasons.append(
        f"within chance of it, which is {lowest:.3f} or more on {num_images} images (95 %):"
        f" {', '.join(one.candidate.name for one in near) or 'none'}"
    )
    equals = [leader]
    for one in near:
        reached = _best(one).training_accuracy
        if reached >= best.training_accuracy - TRAINING_SLACK:
            equals.append(one)
        elif one.candidate.num_parameters < leader.candidate.num_parameters:
            reasons.append(
                f"{one.candidate.name} is no match for it: training accuracy {reached:.3f}, more than"
                f" {TRAINING_SLACK} below"
            )
    return equals


def _is(outcome: Outcome, status: str) -> bool:
    return outcome.status == status


def _best(outcome: Outcome) -> EpochRecord:
    assert outcome.best is not None
    return outcome.best
