"""A token in a file, for those who call a server."""

from pathlib import Path

from cnnsvc.errors import InvalidError


def read_token(path: Path) -> str:
    """The one word in the file. Raises InvalidError, which does not repeat what the file holds."""
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not ASCII"
        raise InvalidError(f"the token file {path} cannot be read: {reason}") from None
    if not token or not token.isprintable() or " " in token:
        raise InvalidError(f"the token file {path} does not hold one word; `cnnsvc token` writes such")
    return token
