"""Where a page asked for with --html goes: judged before the work for it begins, written after."""

import importlib.util
from pathlib import Path

from cnnsvc.errors import InvalidError, UnsupportedError


def check_page(html: Path) -> None:
    """Raises UnsupportedError without Jinja, InvalidError for a path that no page can have."""
    if importlib.util.find_spec("jinja2") is None:
        raise UnsupportedError("--html needs Jinja, which is not installed; install the extra cnnsvc[train]")
    try:
        if not html.parent.is_dir():
            raise InvalidError(f"--html is {html}, and there is no folder {html.parent}")
        if html.is_dir():
            raise InvalidError(f"--html is {html}, a folder; expected the name of a file")
    except OSError as error:
        raise InvalidError(f"--html {html} cannot be written: {error.strerror}") from None


def write_page(html: Path, text: str) -> None:
    """Raises InvalidError where it cannot be written."""
    try:
        html.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidError(f"--html {html} cannot be written: {error.strerror}") from None
