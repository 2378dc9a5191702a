"""Settings classes as command lines: each field of a frozen dataclass is one flag and one CNNSVC_ environment variable.

A field is `name: Annotated[type, setting("One line of help, unit included.", min=…, max=…)] = default`; so flag,
variable, type, default, range and documentation cannot drift apart.
"""

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable, Collection
from typing import Any

import typer
from typer.models import OptionInfo

from cnnsvc.errors import SettingError


def setting(help_text: str, *flags: str, **limits: Any) -> Any:
    """The description of one field; `flags` only where the flag is not the field's name with dashes."""
    return typer.Option(*flags, help=help_text, **limits)


def with_settings(
    settings_class: type[Any], only: Collection[str] | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Turns command(settings, …) into a command that takes one flag for each field of the settings class.

    `only` names the fields that are flags of this command; the others keep their defaults. The command's own
    parameters stay, the `settings` parameter is replaced. A ValueError from the settings class is raised as
    SettingError.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "settings"]
        options = [one for one in setting_parameters(settings_class) if only is None or one.name in only]

        @functools.wraps(command)
        def run(**values: Any) -> None:
            chosen = {option.name: values.pop(option.name) for option in options}
            try:
                settings = settings_class(**chosen)
            except ValueError as error:
                raise SettingError(str(error)) from None
            command(settings=settings, **values)

        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in [*own, *options]]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # inspect reads it, typeshed has no name for it
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return run

    return decorate


def setting_parameters(settings_class: type[Any]) -> list[inspect.Parameter]:
    """One keyword parameter for each field, annotated as Typer reads it, its environment variable included."""
    hints = typing.get_type_hints(settings_class, include_extras=True)
    parameters = []
    for field in dataclasses.fields(settings_class):
        kind, info = typing.get_args(hints[field.name])
        assert isinstance(info, OptionInfo)
        info.envvar = variable_of(field.name)
        default = inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default
        parameters.append(
            inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=typing.Annotated[kind, info]
            )
        )
    return parameters


def variable_of(field_name: str) -> str:
    """The environment variable of a field: CNNSVC_ and its name in capitals."""
    return f"CNNSVC_{field_name.upper()}"
