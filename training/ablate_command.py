"""`cnnsvc ablate`: what each measure against overfitting does on these images, over several seeds."""

from pathlib import Path
from typing import Annotated, Final

import typer

from cnnsvc.engines.threads import available_cpus
from cnnsvc.options import with_settings
from training.ablation.measures import DEFAULT, MEASURES, PLAIN, measure_of
from training.backend import chosen_backend
from training.catalogue import resolve
from training.dataset import scan
from training.progress import Reporter
from training.settings import TrainSettings

_FLAGS: Final = (
    *("model", "arch", "epochs", "batch_size", "learning_rate", "image_size", "color"),
    *("validation_split", "split", "drop_conflicts", "cache_limit_mib", "device", "seed"),
)
"""Those of a training that no measure is about."""

app = typer.Typer(add_completion=False)


@app.command()
@with_settings(TrainSettings, only=_FLAGS)
def ablate(
    settings: TrainSettings,
    folder: Annotated[Path, typer.Argument(help="Folder with one sub-folder of images for each class.")],
    test: Annotated[
        Path | None, typer.Option(help="Folder of images to judge by, which nothing is trained or chosen on.")
    ] = None,
    measures: Annotated[
        list[str] | None, typer.Option("--measure", help="One of them; again for more; all where none is named.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Trainings of each measure: --seed and those after it.", min=1)] = 5,
    results: Annotated[
        Path, typer.Option(help="File that each training adds a line to; those in it are not repeated.")
    ] = Path("ablation.jsonl"),
    processes: Annotated[
        int | None, typer.Option(help="Trainings at once, of one thread each if several; one a core without.", min=1)
    ] = None,
) -> None:
    """Train with and without each measure of the recipe, with several seeds, and print a table of their effects.

    `cnnsvc train --ablation FILE` puts the table into the report of a bundle.
    """
    names = list(dict.fromkeys([PLAIN, *(measures or [*MEASURES, DEFAULT])]))
    for name in names:
        measure_of(name)
    resolve(settings.model, settings.arch)
    for one in (folder, test):
        if one:
            scan(one)
    chosen_backend()
    from training.ablation.study import Study, outcomes
    from training.ablation.table import table_of

    study = Study(folder, test, settings, names, seeds, processes or available_cpus())
    typer.echo(table_of(outcomes(study, results, Reporter().say)))
