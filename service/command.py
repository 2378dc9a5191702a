"""`cnnsvc serve`: flags to settings, and the service."""

import logging

import typer

from cnnsvc.cli import EXIT_INTERRUPTED, exit_status
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
    try:
        if not _run(settings):
            raise SystemExit(EXIT_INTERRUPTED)
    except CnnsvcError as error:
        if settings.log_format == "text":
            raise
        _log.critical("cannot serve: %s", error)  # who reads JSON gets no line of text, the last one included
        raise SystemExit(exit_status(error)) from None


def _run(settings: ServeSettings) -> bool:
    """False where it was ended before it was done. The imports wait: `cnnsvc --help` need not, and they may log."""
    if settings.workers > 1:
        from service.supervisor import supervise

        return supervise(settings)
    from service import state_dir
    from service.app import serve as run

    if settings.state_dir is None:
        run(settings)
    else:
        with state_dir.opened(settings.state_dir):
            run(settings)
    return True
