"""`cnnsvc evaluate`: how good a bundle is on a folder of images, by the code that serves and without TensorFlow."""

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from cnnsvc.engines.base import LocalEngineName
from cnnsvc.local import NUM_THREADS
from cnnsvc.manifest import read_manifest
from cnnsvc.model import ModelOptions, load_model
from training.evaluation import evaluate_model
from training.evaluation_text import print_evaluation
from training.judged_folder import scan_judged
from training.progress import Reporter

app = typer.Typer(add_completion=False)


@app.command()
def evaluate(
    bundle: Annotated[Path, typer.Argument(help="Version folder of the bundle, such as models/flowers/1.")],
    folder: Annotated[Path, typer.Argument(help="Folder with one sub-folder of images for each class.")],
    artifact: Annotated[
        str | None, typer.Option(help="The bundle's file to judge, such as model.onnx; default is the fastest one.")
    ] = None,
    engine: Annotated[LocalEngineName, typer.Option(help="The inference engine.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object with every figure.")] = False,
) -> None:
    """Tell how good a bundle is on images that it was not trained on: accuracy, each class, confusions.

    Whatever the figures are, exit status 0; unreadable files are counted and named.
    """
    listing = scan_judged(folder, read_manifest(bundle).class_names)
    model = load_model(bundle, ModelOptions(engine, artifact, num_streams=NUM_THREADS))
    try:
        found = evaluate_model(model, listing, Reporter())
    finally:
        model.engine.close()
    if as_json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    else:
        print_evaluation(found, Console(highlight=False))
