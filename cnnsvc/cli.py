"""The front door: the commands of cnnsvc by name; each one's module is imported only when it is called.

So `cnnsvc serve` never loads training, `cnnsvc train` never loads the server, and neither side knows the other.
"""

import importlib
import os
import sys
from typing import Any, Final

import typer
from typer.core import TyperGroup

from cnnsvc.errors import CnnsvcError, Kind

COMMANDS: Final = {
    "inspect": "training.inspect_command",
    "preview": "training.preview_command",
    "train": "training.command",
    "ablate": "training.ablate_command",
    "evaluate": "training.evaluate_command",
    "compare": "training.compare_command",
    "networks": "training.networks_command",
    "search": "training.search_command",
    "serve": "service.command",
    "token": "service.token_command",
    "models": "cnnsvc.models_command",
    "fetch": "service.fetch_command",
    "classify": "cnnsvc.classify_command",
    "explain": "cnnsvc.explain_command",
    "health": "cnnsvc.health_command",
    "bench": "cnnsvc.bench_command",
}
"""Modules that hold one Typer command each, or a group of them, as `app`."""

EXIT_FAILED: Final = 1
EXIT_INVALID: Final = 2
EXIT_INTERRUPTED: Final = 130


def app() -> None:
    """The console script: an error of ours is one line on standard error; status 2 where the call was wrong, else 1."""
    try:
        _root()
    except CnnsvcError as error:
        sys.stderr.write(f"cnnsvc: {error}\n")
        sys.exit(exit_status(error))
    except KeyboardInterrupt:
        # All is in order by now. The interpreter's own end crashes now and then: TensorFlow's threads, which nobody can
        # join, go on while it takes their world down.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(EXIT_INTERRUPTED)


def exit_status(error: CnnsvcError) -> int:
    return EXIT_INVALID if error.kind is Kind.INVALID else EXIT_FAILED


class _LazyGroup(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        command = typer.main.get_command(importlib.import_module(COMMANDS[cmd_name]).app)
        command.name = cmd_name
        return command


_root = typer.Typer(cls=_LazyGroup, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)


@_root.callback()
def _describe() -> None:
    """Train a small image classifier on a folder of images, and serve it over gRPC and HTTP."""
