"""Templates of pages that ask nothing of any other file or server: every value is escaped, and figures read well."""

from pathlib import Path
from typing import Any

import jinja2
import msgspec

from training.printable import printable


def template(name: str) -> jinja2.Template:
    """The template of that name beside this file."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=_printable,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, points=points, tiny=tiny, plain=plain)
    return environment.get_template(name)


def _printable(value: Any) -> Any:
    if not isinstance(value, str) or hasattr(value, "__html__"):  # the template's own text, escaped already
        return value
    return printable(value)


def percent(share: float) -> str:
    """63.6%; 100% and 0% only where it is that, but for the last bits of a float."""
    if min(abs(share), abs(1 - share)) < 1e-9:
        return f"{share:.0%}"
    return ">99.9%" if share > 0.9995 else "<0.1%" if share < 0.0005 else f"{share:.1%}"


def points(difference: float) -> str:
    """A difference of two shares in percentage points."""
    return f"{100 * difference:.1f}"


def tiny(value: float) -> str:
    """A difference of scores in decimals, which more people read than powers of ten."""
    if value == 0:
        return "0"
    return f"{value:.4f}" if value >= 1e-3 else f"{value:.7f}" if value >= 5e-8 else "< 0.0000001"


def plain(value: Any) -> str:
    """A recorded value as people write it."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
