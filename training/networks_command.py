"""`cnnsvc networks`: the networks with shapes and parameters, without TensorFlow."""

from typing import Annotated

import typer

from training.network_table import print_networks

app = typer.Typer(add_completion=False)


@app.command()
def networks(
    image_size: Annotated[
        int | None, typer.Option(help="Height and width in pixels; default is each network's own.")
    ] = None,
    classes: Annotated[int, typer.Option(help="Number of classes.", min=2)] = 10,
    channels: Annotated[int, typer.Option(help="1 (grey) or 3 (colour).", min=1, max=3)] = 3,
    layers: Annotated[bool, typer.Option("--layers", help="Show every layer with its shape and parameters.")] = False,
    arch: Annotated[str | None, typer.Option(help="Show this network instead, as 'C: … D: …'.")] = None,
) -> None:
    """List the networks by name with shapes and parameters."""
    print_networks(image_size, classes, channels, show_layers=layers, architecture=arch)
