"""What a person sees while a search runs: a table that changes on a terminal, plain lines everywhere else."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from training.search.leaderboard import headings, ranked, result, row
from training.search.outcome import Outcome, Status

_ENDS: Final = (Status.FINISHED, Status.CUT, Status.FAILED)


@contextlib.contextmanager
def board(outcomes: Mapping[str, Outcome], num_epochs: int, console: Console) -> Iterator[Callable[[Outcome], None]]:
    """Shows the outcomes, which change meanwhile, whenever what it yields is called with the changed one."""
    if not console.is_terminal:
        yield lambda changed: _say(changed, outcomes, num_epochs, console)
        return
    # Replaced by the whole table at the end; taller than the screen it would scroll with every change.
    with Live(console=console, transient=True, auto_refresh=False) as live:

        def show(changed: Outcome | None = None) -> None:
            live.update(_table(outcomes, num_epochs, console.height - 6), refresh=True)

        show()
        yield show


def print_leaderboard(outcomes: Sequence[Outcome], num_epochs: int, console: Console) -> None:
    """The article's table, best network first; where the console is narrow the notations are folded."""
    table = Table(box=SIMPLE_HEAD)
    for heading in headings(num_epochs):
        is_text = heading in (*headings(num_epochs)[:2], headings(num_epochs)[-1])
        table.add_column(
            heading.replace(" ", "\n"),
            justify="left" if is_text else "right",
            overflow="fold",
            no_wrap=heading != "notation",
        )
    for outcome in ranked(outcomes):
        table.add_row(*map(Text, row(outcome, num_epochs)))
    console.print(table)


def progress(outcomes: Mapping[str, Outcome]) -> str:
    """Such as: 12 of 28 done, 5 of them cut, 2 running."""
    statuses = [one.status for one in outcomes.values()]
    num_done = sum(status in _ENDS for status in statuses)
    parts = [f"{num_done} of {len(statuses)} done"]
    for status, words in ((Status.CUT, "of them cut"), (Status.FAILED, "of them failed"), (Status.RUNNING, "running")):
        if number := statuses.count(status):
            parts.append(f"{number} {words}")
    return ", ".join(parts)


def _say(changed: Outcome, outcomes: Mapping[str, Outcome], num_epochs: int, console: Console) -> None:
    name = changed.candidate.name
    if changed.status is Status.RUNNING and changed.curve:
        last = changed.curve[-1]
        text = (
            f"{name} epoch {last.epoch}/{num_epochs}  training accuracy {last.training_accuracy:.3f}"
            f"  validation accuracy {last.validation_accuracy:.3f}  {last.images_per_second:.0f} images/s"
        )
    elif changed.status is Status.RUNNING:
        text = f"{name} begins: {changed.candidate.notation}, {changed.candidate.num_parameters:,} parameters"
    else:
        text = f"{name} {result(changed)}{': ' if changed.reason else ''}{changed.reason}; {progress(outcomes)}"
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _table(outcomes: Mapping[str, Outcome], num_epochs: int, most: int) -> Table:
    table = Table(title=progress(outcomes), title_justify="left")
    table.add_column("network")
    table.add_column("notation", no_wrap=True, overflow="ellipsis")
    for heading in ("parameters", "epoch", "training", "validation", "best"):
        table.add_column(heading, justify="right")
    table.add_column("result")
    begun = [one for one in outcomes.values() if one.status is not Status.WAITING]
    for one in _shown(begun, max(most, 1)):
        last, best = (one.curve[-1] if one.curve else None), one.best
        figures = (
            ["", "", ""]
            if last is None or best is None
            else [
                f"{last.training_accuracy:.3f}",
                f"{last.validation_accuracy:.3f}",
                f"{best.validation_accuracy:.3f}",
            ]
        )
        epoch = f"{len(one.curve)}/{num_epochs}"
        cells = [one.candidate.name, one.candidate.notation, f"{one.candidate.num_parameters:,}", epoch, *figures]
        table.add_row(*cells, Text(result(one), style="bold" if one.status is Status.RUNNING else ""))
    return table


def _shown(begun: list[Outcome], most: int) -> list[Outcome]:
    """The best, best first, but all that run."""
    running = [one for one in begun if one.status is Status.RUNNING]
    others = [one for one in ranked(begun) if one.status is not Status.RUNNING]
    kept = [*others[: max(most - len(running), 0)], *running]
    return sorted(kept, key=lambda one: -(one.best.validation_accuracy if one.best is not None else 0.0))
