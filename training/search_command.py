"""`cnnsvc search`: flags to settings, the search, and its table."""

import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from cnnsvc.errors import TrainingError
from cnnsvc.options import with_settings
from training.search.settings import SEARCHED, SearchSettings

app = typer.Typer(add_completion=False)

_FILE_WIDTH: Final = 200
"""Columns for a table that goes into a file or another program, where nothing tells how many there are."""


@app.command()
@with_settings(SearchSettings, only=SEARCHED)
def search(
    settings: SearchSettings,
    folder: Annotated[Path, typer.Argument(help="Folder with one sub-folder of images for each class.")],
    search_dir: Annotated[
        Path | None, typer.Option(help="Where the search is kept; searches/<name of the folder> if not given.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a search that was interrupted, as it began.")
    ] = False,
    ray: Annotated[
        str | None, typer.Option(help="Ray cluster to train on, auto or HOST:PORT; this machine alone if not given.")
    ] = None,
) -> None:
    """Train many networks, compare them, and choose one, with reasons."""
    from training.search.board import print_leaderboard
    from training.search.run import search as run

    search_dir = search_dir or Path("searches") / folder.resolve().name
    found = run(folder, search_dir, settings, ray_address=ray, resume=resume)
    print_leaderboard(found.outcomes, found.plan.settings["epochs"], _table_console())
    typer.echo(f"\n{search_dir}/: leaderboard.md, leaderboard.json, accuracy.png\n")
    for reason in found.choice.reasons:
        typer.echo(reason)
    if found.choice.chosen is None or found.command is None:
        raise TrainingError("the search found no network to train; the reasons stand above")
    candidate = found.choice.chosen.candidate
    typer.echo(f"\nnetwork {candidate.name}: {candidate.notation}\n{found.command}")


def _table_console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else _FILE_WIDTH)
