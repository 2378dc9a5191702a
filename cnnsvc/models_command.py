"""`cnnsvc models`: what a running server serves, and what an operator wants it to."""

import json
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from cnnsvc.admin_client import AdminClient
from cnnsvc.errors import InvalidError
from cnnsvc.identity_settings import IdentitySettings
from cnnsvc.options import setting, with_settings

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Versions, labels and rollbacks of a running server."
)

Name = Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model.")]
Version = Annotated[int, typer.Argument(metavar="VERSION", help="Number of the version.", min=1)]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document.")]


@dataclass(frozen=True)
class ServerSettings(IdentitySettings):
    """Which server, and how to show it who asks."""

    url: Annotated[str, setting("HTTP address of the server.")] = "http://127.0.0.1:8501"
    # A load is proven first, for five minutes at most.
    timeout_ms: Annotated[int, setting("Longest wait for the answer, in milliseconds.", min=1)] = 330_000

    def client(self) -> AdminClient:
        """Raises InvalidError."""
        return AdminClient(self.url, self.identity(is_encrypted=self.url.startswith("https:")), self.timeout_ms)


@app.command("list")
@with_settings(ServerSettings)
def list_models(settings: ServerSettings, as_json: AsJson = False) -> None:
    """Every model with the versions that are served or lie in the folder, and what is wrong with them."""
    answer = settings.client().call("GET")
    if as_json:
        typer.echo(json.dumps(answer))
        return
    for model in answer["models"]:
        _print(model)
    for warning in answer["warnings"]:
        typer.echo(f"warning: {warning}")


@app.command()
@with_settings(ServerSettings)
def show(name: Name, settings: ServerSettings, as_json: AsJson = False) -> None:
    """One model with its versions, labels and split."""
    _show(settings.client().call("GET", [name]), as_json=as_json)


@app.command()
@with_settings(ServerSettings)
def load(
    name: Name,
    version: Version,
    settings: ServerSettings,
    as_json: AsJson = False,
) -> None:
    """Prove and serve a version, whatever the policy says; one that was refused or withdrawn is tried again."""
    client = settings.client()
    _show(client.call("POST", [name, "versions", str(version), "load"]), as_json=as_json)


@app.command()
@with_settings(ServerSettings)
def unload(
    name: Name,
    version: Version,
    settings: ServerSettings,
    as_json: AsJson = False,
) -> None:
    """Take a version out of service once it has answered what it has; never the last one, nor one with a label."""
    client = settings.client()
    _show(client.call("POST", [name, "versions", str(version), "unload"]), as_json=as_json)


@app.command()
@with_settings(ServerSettings)
def label(
    name: Name,
    label: Annotated[str, typer.Argument(metavar="LABEL", help="Such as stable or canary.")],
    settings: ServerSettings,
    version: Annotated[
        int | None, typer.Argument(metavar="VERSION", help="A loaded version; without it the label is deleted.", min=1)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Point a label to a loaded version, or delete it; the one named stable answers calls that name none."""
    client = settings.client()
    path = [name, "labels", label]
    _show(client.call("PUT", path, {"version": version}) if version else client.call("DELETE", path), as_json=as_json)


@app.command()
@with_settings(ServerSettings)
def split(
    name: Name,
    settings: ServerSettings,
    weights: Annotated[
        list[str] | None, typer.Argument(metavar="LABEL=WEIGHT...", help="Such as stable=95 canary=5; none ends it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Deal calls that name neither version nor label over labels by weight."""
    client = settings.client()
    _show(client.call("PUT", [name, "split"], {"weights": _weights(weights or [])}), as_json=as_json)


@app.command()
@with_settings(ServerSettings)
def rollback(
    name: Name,
    settings: ServerSettings,
    to: Annotated[int | None, typer.Option(help="Version to go back to; default is the one before.", min=1)] = None,
    as_json: AsJson = False,
) -> None:
    """Let the version before answer again, and keep the present one out of service until its files change."""
    client = settings.client()
    _show(client.call("POST", [name, "rollback"], {"version": to} if to else {}), as_json=as_json)


def _weights(words: list[str]) -> dict[str, int]:
    """Raises InvalidError."""
    found: dict[str, int] = {}
    for word in words:
        name, _, weight = word.partition("=")
        if not name or not (weight.isascii() and weight.isdigit()) or name in found:
            raise InvalidError(f"{word!r} is not a part of a split; expected each label once, such as stable=95")
        found[name] = int(weight)
    return found


def _show(model: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(model))
    else:
        _print(model)


def _print(model: dict[str, Any]) -> None:
    split = " ".join(f"{name}={weight}" for name, weight in model["split"].items())
    typer.echo(f"{model['name']} ({model['policy']}{', split ' + split if split else ''})")
    for version in model["versions"]:
        words = ["default"] if version["is_default"] else []
        words += version["labels"]
        marks = f" [{', '.join(words)}]" if words else ""
        served = f": {version['artifact']} in {version['engine']}" if version["engine"] else ""
        counts = f", {version['num_answered']} answered, {version['num_failed']} failed" if served else ""
        reason = f": {version['fault']}, {version['reason']}" if version["reason"] else ""
        typer.echo(f"  {version['version']:>4} {version['state']}{marks}{served}{counts}{reason}")
