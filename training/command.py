"""`cnnsvc train`: flags to settings, and the run."""

from pathlib import Path
from typing import Annotated

import typer

from cnnsvc.options import with_settings
from training.settings import TrainSettings

app = typer.Typer(add_completion=False)


@app.command()
@with_settings(TrainSettings)
def train(
    settings: TrainSettings,
    folder: Annotated[Path, typer.Argument(help="Folder with one sub-folder of images for each class.")],
    name: Annotated[str, typer.Option(help="Name of the model.")],
    models_dir: Annotated[
        Path, typer.Option(help="Folder of models; the bundle becomes <models-dir>/<name>/<next version>/.")
    ] = Path("models"),
    test: Annotated[
        Path | None,
        typer.Option(
            help="Folder like FOLDER with other images: never trained or chosen on, it judges the finished bundle."
        ),
    ] = None,
    ablation: Annotated[
        Path | None, typer.Option(help="File of `cnnsvc ablate` for this network; its table goes into the report.")
    ] = None,
) -> None:
    """Train a network on a folder of images and write a proven bundle."""
    from training.run import train as run  # TensorFlow takes seconds to import

    bundle_path = run(folder, name, models_dir, settings, test=test, ablation=ablation)
    typer.echo(bundle_path)
