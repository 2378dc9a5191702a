"""What `cnnsvc networks` prints: the catalogue or one notation, with shapes and parameters."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cnnsvc.errors import InvalidError
from cnnsvc.manifest import ImageShape
from training.catalogue import CATALOGUE, NamedNetwork, resolve
from training.shapes import NetworkShape, measure


def print_networks(
    image_size: int | None,
    num_classes: int,
    channels: int,
    show_layers: bool,
    architecture: str | None,
    console: Console | None = None,
) -> None:
    """Prints the catalogue, or the network in that notation; without an image size each network has its own.

    Raises NotationError, and InvalidError where no network can be shown.
    """
    if image_size is not None and image_size < 1:
        raise InvalidError(f"an image size of {image_size} is not allowed; expected at least 1")
    if channels not in (1, 3):
        raise InvalidError(f"images of {channels} channels are not allowed; expected 1 (grey) or 3 (colour)")
    console = console or Console()
    shown = list(CATALOGUE.values()) if architecture is None else [resolve(None, architecture)]
    measured = [(network, _measure(network, image_size, channels, num_classes)) for network in shown]
    failures = [shape for _, shape in measured if isinstance(shape, InvalidError)]
    if len(failures) == len(shown):
        raise failures[0]
    console.print(_overview(measured, image_size, num_classes, channels))
    for network, shape in measured:
        if isinstance(shape, InvalidError):
            console.print(Text(f"{network.name}: {shape}", style="yellow"))
        elif show_layers:
            console.print(_layer_table(network, shape))


def _measure(
    network: NamedNetwork, image_size: int | None, channels: int, num_classes: int
) -> NetworkShape | InvalidError:
    size = image_size or network.image_size
    try:
        return measure(network.architecture, ImageShape(size, size, 1 if channels == 1 else 3), num_classes)
    except InvalidError as error:
        return error


def _overview(
    measured: list[tuple[NamedNetwork, NetworkShape | InvalidError]],
    image_size: int | None,
    num_classes: int,
    channels: int,
) -> Table:
    title = f"{num_classes} classes, {'grey' if channels == 1 else 'colour'} images"
    table = Table("name", "image", "notation", title=title, title_justify="left", show_lines=True)
    for heading in ("flatten", "parameters"):
        table.add_column(heading, justify="right")
    for network, shape in measured:
        size = image_size or network.image_size
        counts = ("too small", "")
        if isinstance(shape, NetworkShape):
            counts = (f"{shape.num_flat:,}", f"{shape.num_parameters:,}")
        table.add_row(network.name, f"{size}×{size}", _two_lines(network), *counts)
    return table


def _two_lines(network: NamedNetwork) -> Text:
    text = Text(str(network.architecture).replace(" D:", "\nD:"))
    if network.note:
        text.append(f"\n{network.note}", style="dim")
    return text


def _layer_table(network: NamedNetwork, shape: NetworkShape) -> Table:
    table = Table("layer", "name", title=f"network {network.name}", title_justify="left", show_footer=True)
    table.columns[0].footer = "all"
    table.columns[1].footer = f"{shape.num_frozen:,} not trainable"
    table.add_column("output", justify="right")
    table.add_column("parameters", f"{shape.num_parameters:,}", justify="right")
    for layer in shape.layers:
        output = "×".join(map(str, layer.output))
        table.add_row(layer.sign, layer.name, output, f"{layer.num_parameters:,}" if layer.num_parameters else "")
    return table
