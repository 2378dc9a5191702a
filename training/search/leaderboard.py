"""The article's table of a search, best network first: as rows, as Markdown, and with every curve as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from training.search.choice import Choice
from training.search.journal import Plan
from training.search.outcome import Outcome, Status

_ORDER: Final = (Status.FINISHED, Status.RUNNING, Status.CUT, Status.FAILED, Status.WAITING)
_NOTHING: Final = "–"


def ranked(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The finished by their best validation accuracy, then the cut, who came further first, then the others."""
    return sorted(outcomes, key=_rank)


def _rank(outcome: Outcome) -> tuple[int, int, float, int]:
    best = outcome.best
    return (
        _ORDER.index(outcome.status),
        -len(outcome.curve) if outcome.status is not Status.FINISHED else 0,
        -best.validation_accuracy if best is not None else 0.0,
        outcome.candidate.num_parameters,
    )


def pareto_front(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Of the finished networks those that no other one equals or beats with as few parameters, the smallest first."""
    front: list[Outcome] = []
    highest = float("-inf")
    finished = [one for one in outcomes if one.status is Status.FINISHED and one.best is not None]
    for one in sorted(finished, key=lambda one: (one.candidate.num_parameters, -_accuracy(one))):
        if _accuracy(one) > highest:
            front.append(one)
            highest = _accuracy(one)
    return front


def headings(num_epochs: int) -> list[str]:
    middle = middle_epoch(num_epochs)
    return [
        "network",
        "notation",
        "parameters",
        f"training at {middle}",
        f"validation at {middle}",
        f"training at {num_epochs}",
        f"validation at {num_epochs}",
        "best validation",
        "at epoch",
        "largest drop",
        "result",
    ]


def row(outcome: Outcome, num_epochs: int) -> list[str]:
    """One cell for each of the headings."""
    cells = [outcome.candidate.name, outcome.candidate.notation, f"{outcome.candidate.num_parameters:,}"]
    for epoch in (middle_epoch(num_epochs), num_epochs):
        there = outcome.curve[epoch - 1 : epoch]
        cells += [_share(there[0].training_accuracy), _share(there[0].validation_accuracy)] if there else [_NOTHING] * 2
    best, drop = outcome.best, outcome.drop
    cells += [_NOTHING] * 2 if best is None else [_share(best.validation_accuracy), str(best.epoch)]
    cells.append(_NOTHING if drop is None else "0" if drop.size <= 0 else f"{drop.size:.3f} at {drop.epoch}")
    return [*cells, result(outcome)]


def middle_epoch(num_epochs: int) -> int:
    """The article looks at epoch 10 of 20."""
    return max(1, num_epochs // 2)


def result(outcome: Outcome) -> str:
    if outcome.status is Status.CUT:
        return f"cut at epoch {len(outcome.curve)}"
    return outcome.status.value


def markdown(plan: Plan, outcomes: Sequence[Outcome], choice: Choice, command: str | None) -> str:
    """The whole table, the choice with its reasons and the command to go on with."""
    num_epochs = plan.settings["epochs"]
    front = {one.candidate.name for one in pareto_front(outcomes)}
    lines = [
        f"# {len(outcomes)} networks on {plan.image.height}×{plan.image.width} images of"
        f" {len(plan.class_names)} classes",
        "",
        f"Trained on {plan.num_training:,} images, validated on {plan.num_validation:,}, {num_epochs} epochs at most."
        " Accuracies are shares; the largest drop is that of the validation accuracy from one epoch to the next."
        " ★ marks the Pareto front: no smaller network is as good.",
        "",
        "| " + " | ".join(headings(num_epochs)) + " |",
        "| " + " | ".join(["---"] * len(headings(num_epochs))) + " |",
    ]
    for outcome in ranked(outcomes):
        name, notation, *others = row(outcome, num_epochs)
        star = " ★" if name in front else ""
        # A bar would end the cell, in code too.
        lines.append("| " + " | ".join([name + star, f"`{notation}`".replace("|", "\\|"), *others]) + " |")
    lines += ["", "![accuracy by parameters](accuracy.png)", "", "## The choice", ""]
    lines += [f"- {reason}" for reason in choice.reasons]
    if command is not None:
        lines += ["", f"```sh\n{command}\n```"]
    return "\n".join(lines) + "\n"


def as_json(plan: Plan, outcomes: Sequence[Outcome], choice: Choice, command: str | None) -> dict[str, Any]:
    """JSON-ready, with all curves."""
    front = {one.candidate.name for one in pareto_front(outcomes)}
    return {
        "format": plan.format,
        "folder": plan.folder,
        "settings": plan.settings,
        "image": {"height": plan.image.height, "width": plan.image.width, "channels": plan.image.channels},
        "class_names": plan.class_names,
        "num_training": plan.num_training,
        "num_validation": plan.num_validation,
        "networks": [_network_json(one, one.candidate.name in front) for one in ranked(outcomes)],
        "choice": {
            "network": None if choice.chosen is None else choice.chosen.candidate.name,
            "reasons": list(choice.reasons),
            "command": command,
        },
    }


def _network_json(outcome: Outcome, is_on_front: bool) -> dict[str, Any]:
    best, drop = outcome.best, outcome.drop
    return {
        **asdict(outcome.candidate),
        "result": outcome.status.value,
        "reason": outcome.reason,
        "is_on_front": is_on_front,
        "best_epoch": None if best is None else best.epoch,
        "best_validation_accuracy": None if best is None else best.validation_accuracy,
        "largest_drop": None if drop is None else {"size": drop.size, **asdict(drop)},
        "node": outcome.node,
        "epochs": [asdict(record) for record in outcome.curve],
    }


def _accuracy(outcome: Outcome) -> float:
    assert outcome.best is not None
    return outcome.best.validation_accuracy


def _share(value: float) -> str:
    return f"{value:.3f}"
