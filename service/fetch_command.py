"""`cnnsvc fetch`: models from an object store, before a server starts or beside one that runs."""

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from cnnsvc.cli import EXIT_INTERRUPTED
from service import logs
from service.fetch_models import Store, fetch_for_ever
from service.logs import LogFormat

app = typer.Typer(add_completion=False)


@app.command()
def fetch(
    url: Annotated[
        str,
        typer.Argument(metavar="URL", help="Folder of models, as fsspec names it: s3://bucket/models, file:///srv."),
    ],
    models_dir: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of models to copy into; what is in it already stays.")
    ],
    newest: Annotated[
        int, typer.Option(help="Newest versions of each model that are copied: a second one to go back to.", min=1)
    ] = 2,
    interval_seconds: Annotated[
        int, typer.Option(help="Look for newer versions so often, in seconds, until SIGTERM; 0 copies once.", min=0)
    ] = 0,
    log_format: Annotated[
        LogFormat, typer.Option(help="Log lines for people (text), or one JSON object a line (json).")
    ] = "text",
) -> None:
    """Copy the newest versions of every model from an object store; each appears whole and checked, or not at all."""
    logs.configure("info", log_format)
    # The first process of a container is not ended by a signal that it does not handle.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0 if interval_seconds else EXIT_INTERRUPTED))
    store = Store(url)
    if interval_seconds:
        fetch_for_ever(store, models_dir, newest, interval_seconds)
    store.fetch(models_dir, newest)
