"""`cnnsvc serve`: flags to settings, and the service."""

import typer

from cnnsvc.options import with_settings
from service.settings import ServeSettings

app = typer.Typer(add_completion=False)


@app.command()
@with_settings(ServeSettings)
def serve(settings: ServeSettings) -> None:
    """Serve bundles over gRPC and HTTP until SIGTERM."""
    from service.app import serve as run  # `cnnsvc --help` need not wait for the servers

    run(settings)
