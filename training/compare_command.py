"""`cnnsvc compare`: which of two bundles is better on the same images, or whether nobody can say."""

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
from training.comparison import check_same_classes, compare_models
from training.comparison_text import print_comparison
from training.judged_folder import scan_judged
from training.progress import Reporter

app = typer.Typer(add_completion=False)


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="Version folder of a bundle.")],
    b: Annotated[Path, typer.Argument(help="Version folder of another with the same classes, or the same one.")],
    folder: Annotated[Path, typer.Argument(help="Folder with one sub-folder of images for each class.")],
    artifact_a: Annotated[
        str | None, typer.Option(help="A's file to judge, such as model.onnx; default is the fastest one.")
    ] = None,
    artifact_b: Annotated[
        str | None, typer.Option(help="B's file to judge, such as model.int8.onnx; default is the fastest one.")
    ] = None,
    engine: Annotated[LocalEngineName, typer.Option(help="The inference engine of both.")] = "auto",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object with every figure and every image that differs.")
    ] = False,
) -> None:
    """Judge two bundles on the same images: a paired test tells whether one is better, beside size and speed.

    Whatever the verdict is, exit status 0; unreadable files are counted and named.
    """
    manifest_a, manifest_b = read_manifest(a), read_manifest(b)
    check_same_classes(manifest_a, manifest_b)
    listing = scan_judged(folder, manifest_a.class_names)
    model_a = load_model(a, ModelOptions(engine, artifact_a, num_streams=NUM_THREADS))
    try:
        model_b = load_model(b, ModelOptions(engine, artifact_b, num_streams=NUM_THREADS))
        try:
            found = compare_models(model_a, model_b, listing, Reporter())
        finally:
            model_b.engine.close()
    finally:
        model_a.engine.close()
    if as_json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    else:
        print_comparison(found, Console(highlight=False))
