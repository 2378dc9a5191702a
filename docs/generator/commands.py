"""The page of the command line: every command with its arguments, flags and environment variables."""

import importlib
import inspect
import types
import typing
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Literal

from typer.models import ArgumentInfo, CommandInfo, OptionInfo

from cnnsvc import cli
from docs.generator.markdown import code, joined, sentence, table, text

_TYPES: Final = {str: "text", int: "integer", float: "number", Path: "path", bool: "switch", datetime: "date"}

_INTRODUCTION: Final = """\
# Command line

A flag overrides its environment variable, and that the default. Every command takes `--help`."""

_EXIT_STATUS: Final = f"""\
## Exit status

An error is one line on standard error, `cnnsvc: what came; what is allowed`.

| status | means |
| --- | --- |
| 0 | done; of `cnnsvc serve`, ended in order by SIGTERM or SIGINT |
| {cli.EXIT_FAILED} | failed: `cnnsvc classify` an image, `cnnsvc bench` a request; of `cnnsvc health`, not ready |
| {cli.EXIT_INVALID} | the call was wrong: a flag, a folder, a file, a server, a network that did not learn |
| {cli.EXIT_INTERRUPTED} | interrupted by Ctrl-C before it was done |"""


def page() -> str:
    return joined(_INTRODUCTION, *(_section(name) for name in commands()), _EXIT_STATUS)


def commands() -> list[str]:
    """Every command as it is typed: `serve`, and of a group of commands `models list`."""
    return [
        command if registered.name is None and len(found) == 1 else f"{command} {_name(registered)}"
        for command in cli.COMMANDS
        if (found := _registered(command))
        for registered in found
    ]


def parameters(command: str) -> list[inspect.Parameter]:
    """What the command takes, each annotated as Annotated[type, ArgumentInfo or OptionInfo]."""
    return list(inspect.signature(_callback(command), eval_str=True).parameters.values())


def flags(parameter: inspect.Parameter) -> list[str]:
    """Its spellings, such as [--export-dead, --no-export-dead]; none for an argument."""
    kind, info = typing.get_args(parameter.annotation)
    if isinstance(info, ArgumentInfo):
        return []
    # Inside Annotated, Typer takes the first spelling for a default.
    spelled = [one for one in (info.default, *(info.param_decls or ())) if isinstance(one, str)]
    if spelled:
        return spelled
    name = parameter.name.replace("_", "-")
    return [f"--{name}", f"--no-{name}"] if kind is bool else [f"--{name}"]


def variable(parameter: inspect.Parameter) -> str:
    """Its environment variable, or ""."""
    info = typing.get_args(parameter.annotation)[1]
    return str(info.envvar or "")


def _callback(command: str) -> Any:
    group, _, name = command.partition(" ")
    return next(one.callback for one in _registered(group) if not name or _name(one) == name)


def _registered(command: str) -> list[CommandInfo]:
    found: list[CommandInfo] = importlib.import_module(cli.COMMANDS[command]).app.registered_commands
    return found


def _name(registered: CommandInfo) -> str:
    assert registered.callback is not None, "every command does something"
    return registered.name or registered.callback.__name__.replace("_", "-")


def _section(command: str) -> str:
    found = parameters(command)
    arguments = [parameter for parameter in found if not flags(parameter)]
    options = [parameter for parameter in found if flags(parameter)]
    usage = " ".join(["cnnsvc", command, *map(_argument_in_usage, arguments), "[OPTIONS]"])
    return joined(
        f"## cnnsvc {command}",
        text(sentence(inspect.getdoc(_callback(command)) or "")),
        f"```text\n{usage}\n```",
        table(("argument", "is"), ((code(_argument_name(one)), text(_help(one))) for one in arguments)),
        table(("flag", "variable", "takes", "default", "is"), map(_option_row, options)),
    )


def _option_row(parameter: inspect.Parameter) -> list[str]:
    name = variable(parameter)
    spellings = " ".join(code(flag) for flag in flags(parameter))
    return [spellings, code(name) if name else "", _takes(parameter), _default(parameter), text(_help(parameter))]


def _help(parameter: inspect.Parameter) -> str:
    return str(typing.get_args(parameter.annotation)[1].help or "")


def _argument_in_usage(parameter: inspect.Parameter) -> str:
    name = _argument_name(parameter)
    return name if parameter.default is inspect.Parameter.empty else f"[{name}]"


def _argument_name(parameter: inspect.Parameter) -> str:
    info = typing.get_args(parameter.annotation)[1]
    return str(info.metavar or parameter.name.upper())


def _takes(parameter: inspect.Parameter) -> str:
    """The type with its range, or the choices."""
    kind, info = typing.get_args(parameter.annotation)
    assert isinstance(info, OptionInfo)
    if isinstance(kind, types.UnionType):  # an option that may stay unset
        (kind,) = (member for member in kind.__args__ if member is not type(None))
    if typing.get_origin(kind) is list:
        (kind,) = typing.get_args(kind)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return ", ".join(map(code, kind))
    if typing.get_origin(kind) is Literal:
        return ", ".join(code(choice) for choice in typing.get_args(kind))
    word = _TYPES[kind]
    if info.min is not None and info.max is not None:
        return f"{word}, {info.min} to {info.max}"
    return word if info.min is None else f"{word}, {info.min} or more"


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is inspect.Parameter.empty:
        return "required"
    if parameter.default is None or parameter.default == "":
        return ""
    return "off" if parameter.default is False else code(parameter.default)
