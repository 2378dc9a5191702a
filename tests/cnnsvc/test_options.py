"""Settings classes as command lines."""

from dataclasses import dataclass
from typing import Annotated

import typer
from typer.testing import CliRunner

from cnnsvc.errors import SettingError
from cnnsvc.options import setting, with_settings

_app = typer.Typer()
_seen: list["_Settings"] = []


@dataclass(frozen=True)
class _Settings:
    num_cakes: Annotated[int, setting("Number of cakes.", min=1)] = 3
    is_sweet: Annotated[bool, setting("Sugar or none.")] = True

    def __post_init__(self) -> None:
        if self.num_cakes == 13:
            raise ValueError("13 cakes are unlucky")


@_app.command()
@with_settings(_Settings)
def _bake(settings: _Settings, kitchen: str) -> None:
    _seen.append(settings)


def test_defaults_flags_and_variables() -> None:
    """A field takes its default, else the environment's value, else the flag's."""
    runner = CliRunner()
    for arguments, environment in (
        (["k"], {}),
        (["k"], {"CNNSVC_NUM_CAKES": "5"}),
        (["k", "--num-cakes", "7", "--no-is-sweet"], {"CNNSVC_NUM_CAKES": "5"}),
    ):
        assert runner.invoke(_app, arguments, env=environment).exit_code == 0
    assert _seen == [_Settings(), _Settings(5), _Settings(7, False)]


def test_a_command_may_take_some_of_the_fields() -> None:
    """The others are no flags of it, and keep their defaults whatever the environment says."""
    app, seen = typer.Typer(), []

    @app.command()
    @with_settings(_Settings, only=("num_cakes",))
    def taste(settings: _Settings) -> None:
        seen.append(settings)

    runner = CliRunner()
    assert runner.invoke(app, ["--num-cakes", "4"], env={"CNNSVC_IS_SWEET": "false"}).exit_code == 0
    assert seen == [_Settings(4, True)]
    assert runner.invoke(app, ["--no-is-sweet"]).exit_code == 2


def test_a_value_out_of_range_is_refused() -> None:
    """Typer names the flag and the range."""
    result = CliRunner().invoke(_app, ["k", "--num-cakes", "0"])
    assert result.exit_code == 2
    assert "--num-cakes" in result.output


def test_what_the_settings_class_refuses_is_a_setting_error() -> None:
    """A ValueError of the class reaches the user as an error of ours."""
    result = CliRunner().invoke(_app, ["k", "--num-cakes", "13"])
    assert isinstance(result.exception, SettingError)
    assert str(result.exception) == "13 cakes are unlucky"


def test_help_shows_every_field() -> None:
    """Flag, help and environment variable of every field stand in the help."""
    output = CliRunner().invoke(_app, ["--help"], env={"COLUMNS": "200"}).output
    for expected in ("--num-cakes", "Number of cakes.", "CNNSVC_NUM_CAKES", "--is-sweet", "CNNSVC_IS_SWEET"):
        assert expected in output
