"""`cnnsvc explain`: flags to an explanation, its picture and its words."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from cnnsvc.classification import read_image
from cnnsvc.door_client import DoorClient
from cnnsvc.engines.base import LocalEngineName
from cnnsvc.engines.choice_cache import default_cache_dir
from cnnsvc.errors import InvalidError
from cnnsvc.explain import explain_locally, explain_remotely
from cnnsvc.heat_image import overlay_png
from cnnsvc.identity_settings import IdentitySettings
from cnnsvc.local import NUM_THREADS
from cnnsvc.model import ModelOptions
from cnnsvc.occlusion import DEFAULT_BUDGET, LEAST_BUDGET, Explanation, strongest
from cnnsvc.options import with_settings

app = typer.Typer(add_completion=False)


@app.command()
@with_settings(IdentitySettings)
def explain(
    settings: IdentitySettings,
    path: Annotated[Path, typer.Argument(metavar="IMAGE", help="The image to explain.")],
    server: Annotated[
        str | None, typer.Option(help="http://HOST:PORT of a running server, https:// where it encrypts.")
    ] = None,
    bundle: Annotated[Path | None, typer.Option(help="Version folder to classify with, without a server.")] = None,
    model: Annotated[str, typer.Option(help="Model of the server; default is its only one.")] = "",
    version: Annotated[int, typer.Option(help="Version of the model; 0 is its default.", min=0)] = 0,
    label: Annotated[str, typer.Option(help="Label of a version, such as stable; instead of --version.")] = "",
    class_name: Annotated[str, typer.Option(help="Class to explain; default is the best one.")] = "",
    budget: Annotated[
        int, typer.Option(help="Most inferences; more make the map finer.", min=LEAST_BUDGET)
    ] = DEFAULT_BUDGET,
    output: Annotated[
        Path | None, typer.Option(help="PNG to write, the image under its map; default is IMAGE's name.explained.png.")
    ] = None,
    timeout_ms: Annotated[int, typer.Option(help="Longest wait for the answer, in milliseconds.", min=1)] = 30_000,
    engine: Annotated[LocalEngineName, typer.Option(help="With --bundle: the inference engine.")] = "auto",
    artifact: Annotated[str | None, typer.Option(help="With --bundle: its file to use, such as model.onnx.")] = None,
    cache_dir: Annotated[
        Path | None,
        typer.Option(
            help="With --bundle: folder that remembers its fastest engine; default is the user's cache folder.",
            envvar="CNNSVC_CACHE_DIR",
        ),
    ] = None,
) -> None:
    """Show what of an image its class hangs on, by a running server (http://127.0.0.1:8501 by default) or a bundle."""
    if server is not None and bundle is not None:
        raise InvalidError("expected --server or --bundle, and not both")
    image_bytes = read_image(path)
    if bundle:
        options = ModelOptions(engine, artifact, num_streams=NUM_THREADS, cache_dir=cache_dir or default_cache_dir())
        found = explain_locally(bundle, options, image_bytes, class_name, budget)
    else:
        url = server or "http://127.0.0.1:8501"
        door = DoorClient(url, settings.identity(is_encrypted=url.startswith("https:")), timeout_ms)
        asked: dict[str, str | int] = {
            "model": model,
            "version": version,
            "label": label,
            "class_name": class_name,
            "budget": budget,
        }
        found = explain_remotely(door, image_bytes, asked)
    picture = overlay_png(image_bytes, found.heat)
    written = output or Path(f"{path.stem}.explained.png")
    try:
        written.write_bytes(picture)
    except OSError as error:
        raise InvalidError(f"--output {written} cannot be written: {error.strerror}") from None
    _print(found, written)


def _print(found: Explanation, written: Path) -> None:
    console = Console(soft_wrap=True, highlight=False)
    grid = found.grid
    console.print(
        f"[bold]{escape(found.class_name)}[/] {found.score:.3f}  [dim]model {escape(found.model)} version"
        f" {found.version}, {grid.num_inferences} inferences[/]"
    )
    if found.rejected:
        console.print("[yellow]none of these[/]: no class has a score that its model answers for")
    regions = strongest(grid, found.heat)
    if not regions:
        console.print("its score falls nowhere: no single part of the image speaks for it")
    for place, ((top, left, bottom, right), drop) in enumerate(regions, start=1):
        console.print(
            f"{place}.  {_percent(left, grid.image_width)} to {_percent(right, grid.image_width)} from the left,"
            f" {_percent(top, grid.image_height)} to {_percent(bottom, grid.image_height)} from the top:"
            f" without it {found.score - drop:.3f}"
        )
    console.print(f"{escape(str(written))}: red speaks for it, blue against it")


def _percent(pixels: int, of: int) -> str:
    return f"{100 * pixels / of:.0f} %"
