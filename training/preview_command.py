"""`cnnsvc preview`: what the augmentation makes of an image, before anybody trains with it."""

import importlib.util
from pathlib import Path
from typing import Annotated, Final

import typer

from cnnsvc.errors import UnsupportedError
from cnnsvc.options import with_settings
from training.page_file import check_page, write_page
from training.progress import Reporter
from training.settings import TrainSettings

_FLAGS: Final = ("model", "arch", "augment", "augment_strength", "image_size", "color", "seed")
"""Those of a training that decide what its images look like."""

app = typer.Typer(add_completion=False)


@app.command()
@with_settings(TrainSettings, only=_FLAGS)
def preview(
    settings: TrainSettings,
    path: Annotated[
        Path, typer.Argument(metavar="IMAGE_OR_FOLDER", help="An image, or a folder with one sub-folder a class.")
    ],
    html: Annotated[Path, typer.Option(help="The page to write; one file, no network.")] = Path("preview.html"),
) -> None:
    """Write a page of one image as a training with these flags would draw it, twelve times.

    Of a folder it shows the first image of each class. Prints the path of the page.
    """
    check_page(html)
    if importlib.util.find_spec("tensorflow") is None:
        raise UnsupportedError("a preview needs TensorFlow, which is not installed; install the extra cnnsvc[train]")
    from training.preview import image_shape, read_samples

    image = image_shape(settings)
    samples, num_hidden = read_samples(path, image)
    Reporter().say("loading TensorFlow, whose layers draw the views")
    from training.preview_page import preview_page

    write_page(html, preview_page(path, samples, num_hidden, image, settings))
    typer.echo(html)
