"""`cnnsvc serve`: flags to settings, and the service."""

import logging

import typer

from cnnsvc.cli import exit_status
from cnnsvc.errors import CnnsvcError
from cnnsvc.options import with_settings
from service import logs
from service.settings import ServeSettings

app = typer.Typer(add_completion=False)

_log = logging.getLogger("cnnsvc.serve")


@app.command()
@with_settings(ServeSettings)
def serve(settings: ServeSettings) -> None:
    """Serve bundles over gRPC and HTTP until SIGTERM."""
    logs.configure(settings.log_level, settings.log_format)
    from service.app import serve as run  # `cnnsvc --help` need not wait for the servers, and their imports may log

    try:
        run(settings)
    except CnnsvcError as error:
        if settings.log_format == "text":
            raise
        _log.critical("cannot serve: %s", error)  # who reads JSON gets no line of text, the last one included
        raise SystemExit(exit_status(error)) from None
