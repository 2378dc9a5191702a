"""`cnnsvc token`: makes a token, and writes its hash where a server reads it."""

import contextlib
import datetime
import fcntl
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from cnnsvc.errors import InvalidError
from cnnsvc.options import variable_of
from service.access import NAME_PATTERN, Scope, hash_of, read_tokens

app = typer.Typer(add_completion=False)

_PREFIX: Final = "cnnsvc_"
"""So that whoever finds one, a scanner of sources among them, knows what it is."""


@app.command()
def token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is, such as a program's; for logs.")],
    scope: Annotated[list[Scope], typer.Option(help="What it opens; may be given several times.")],
    tokens_file: Annotated[
        Path,
        typer.Option(help="File that gets its hash, made where it is absent.", envvar=variable_of("tokens_file")),
    ],
    expires: Annotated[
        datetime.datetime | None,
        typer.Option(help="Its last day, in UTC; default is that it never expires.", formats=["%Y-%m-%d"]),
    ] = None,
) -> None:
    """Make a token, print it, and add its hash to the tokens file of a server; it is shown this once."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise InvalidError(f"NAME is {name!r}; expected 1 to 64 of A-Z a-z 0-9 . _ -, a letter or a digit first")
    if expires and expires.date() < datetime.datetime.now(datetime.UTC).date():
        raise InvalidError(f"--expires is {expires.date()}, which has passed")
    made = _PREFIX + secrets.token_urlsafe(32)
    scopes = ", ".join(f'"{one}"' for one in dict.fromkeys(scope))
    lines = ["[[tokens]]", f'name = "{name}"', f"scopes = [{scopes}]", f'sha256 = "{hash_of(made)}"']
    if expires:
        lines.append(f"expires = {expires.date()}")
    path = tokens_file.resolve()  # a link stays one
    try:
        with _locked(path.parent):
            _append(path, name, "\n".join(lines) + "\n")
    except OSError as error:
        raise InvalidError(f"{tokens_file} cannot be written: {error.strerror}") from None
    typer.echo(made)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Against others who make tokens at the same time."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _append(path: Path, name: str, text: str) -> None:
    """In one step, so that no server reads half of it. Raises InvalidError, OSError."""
    before = path.read_text() if path.exists() else ""
    if path.exists() and any(known.name == name for known in read_tokens(path)):
        raise InvalidError(
            f"{path} has a token named {name}; for its successor take another name, and delete this one later"
        )
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        file.write(f"{before.rstrip()}\n\n{text}" if before.strip() else text)
    staged = Path(file.name)
    try:
        read_tokens(staged)
        if path.exists():
            # Whoever could read it still can.
            found = path.stat()
            os.chown(staged, found.st_uid, found.st_gid)
            staged.chmod(found.st_mode & 0o777)
        staged.replace(path)
    except (OSError, InvalidError):
        staged.unlink(missing_ok=True)
        raise
