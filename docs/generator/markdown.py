"""Markdown from values: tables, code, and plain text that Markdown must not read as its own signs."""

import re
from collections.abc import Iterable, Sequence


def joined(*parts: str) -> str:
    """Parts with one blank line between them; empty ones are left out."""
    return "\n\n".join(part for part in parts if part)


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown cells; "" where there is no row."""
    found = [list(row) for row in rows]
    if not found:
        return ""
    return "\n".join(_row(row) for row in (headings, ["---"] * len(headings), *found))


def code(value: object) -> str:
    return f"`{value}`"


def text(words: str) -> str:
    """Words as they are: `<name>` is no HTML, * and _ no emphasis; what stands between backticks stays code."""
    parts = re.split(r"(`[^`]*`)", " ".join(words.split()))
    return "".join(part if part.startswith("`") else _escaped(part) for part in parts)


def link(label: str, target: str) -> str:
    return f"[{label}]({target})"


def anchor(heading: str) -> str:
    """The fragment by which GitHub and others link to a heading."""
    kept = re.sub(r"[^\w\- ]", "", heading.lower())
    return "#" + kept.replace(" ", "-")


def sentence(words: str) -> str:
    return words if not words or words.endswith((".", ":", "…")) else f"{words}."


def _escaped(words: str) -> str:
    return re.sub(r"([*_])", r"\\\1", words).replace("<", "&lt;")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
