"""Findings in words: a table and lists for a terminal, one line each at the start of a training."""

from collections.abc import Iterator
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from training.inspection.findings import IMBALANCED_RATIO, TINY_SIDE, Findings
from training.printable import printable
from training.settings import TrainSettings

_MAX_ROWS: Final = 40
_MAX_NAMED: Final = 10
_MAX_FILES: Final = 6


def print_findings(findings: Findings, console: Console) -> None:
    """All of it, long lists cut."""
    console.print(_classes(findings))
    console.print()
    for line in _facts(findings):
        _say(console, line)
    for title, lines in finding_lists(findings):
        console.print(Text(f"\n{title}", style="bold"))
        for line in lines[:_MAX_NAMED]:
            _say(console, f"  {line}")
        if len(lines) > _MAX_NAMED:
            _say(console, f"  and {len(lines) - _MAX_NAMED:,} more; --json names all")
    if findings.obstacle is None and not any(lines for _, lines in finding_lists(findings)):
        _say(console, "nothing found that is wrong")


def training_lines(findings: Findings, settings: TrainSettings) -> list[str]:
    """What whoever starts a training should know of its data; nothing of a folder in order."""
    return [printable(line) for line in _training_lines(findings, settings)]


def finding_lists(findings: Findings) -> list[tuple[str, list[str]]]:
    """Each kind of finding that there is, with a line for each."""
    lists = [
        ("the same image under two labels", _conflict_lines(findings)),
        ("unreadable", [f"{one.file}: {one.reason}" for one in findings.unreadable]),
        ("exact duplicates", [files_line(files, " = ") for files in findings.exact_duplicates]),
        ("near duplicates", [files_line(files, " ≈ ") for files in findings.near_duplicates]),
        ("ending of another format", [f"{one.file} is {one.format}" for one in findings.wrong_endings]),
        ("single-colour", findings.single_colour),
        (f"less than {TINY_SIDE} pixels wide or high", findings.tiny),
    ]
    return [(f"{title}: {len(lines):,}", lines) for title, lines in lists if lines]


def files_line(files: list[str], sign: str) -> str:
    more = f" and {len(files) - _MAX_FILES:,} more" if len(files) > _MAX_FILES else ""
    return sign.join(files[:_MAX_FILES]) + more


def is_imbalanced(findings: Findings) -> bool:
    return findings.imbalance is not None and findings.imbalance >= IMBALANCED_RATIO


def _training_lines(findings: Findings, settings: TrainSettings) -> Iterator[str]:
    num_copies = sum(len(group) - 1 for group in findings.exact_duplicates)
    num_near = len(findings.near_duplicates)
    if num_copies or num_near:
        fate = "stay on one side of the split" if settings.split == "grouped" else "may lie on both sides of the split"
        yield f"duplicates: {num_copies} exact copies and {num_near} groups of near duplicates, which {fate}"
    conflicts = _conflict_lines(findings)
    if conflicts:
        fate = "left out" if settings.drop_conflicts else "--drop-conflicts leaves them out"
        yield f"warning: the same image under two labels, {len(conflicts)} times ({fate}):"
        yield from (f"  {line}" for line in conflicts[:_MAX_NAMED])
        if len(conflicts) > _MAX_NAMED:
            yield f"  and {len(conflicts) - _MAX_NAMED} more, which cnnsvc inspect names"
    for what, names in (
        ("end in another format's name", [one.file for one in findings.wrong_endings]),
        ("are of a single colour", findings.single_colour),
        (f"are less than {TINY_SIDE} pixels wide or high", findings.tiny),
    ):
        if names:
            yield f"warning: {len(names)} of {findings.num_files} files {what}, {names[0]} first"


def _conflict_lines(findings: Findings) -> list[str]:
    exact = [f"exact: {files_line(files, ' = ')}" for files in findings.exact_conflicts]
    return exact + [f"near: {files_line(files, ' ≈ ')}" for files in findings.near_conflicts]


def _classes(findings: Findings) -> Table:
    table = Table("class", box=None, header_style="bold", pad_edge=False)
    for heading in ("images", "share", "unreadable"):
        table.add_column(heading, justify="right")
    by_size = sorted(findings.classes, key=lambda one: (-one.num_images, one.name))
    hidden = len(by_size) - _MAX_ROWS
    shown = by_size if hidden <= 0 else by_size[: _MAX_ROWS // 2] + by_size[-_MAX_ROWS // 2 :]
    for place, one in enumerate(shown):
        if hidden > 0 and place == _MAX_ROWS // 2:
            table.add_row(f"… {hidden} more classes …")
        share = one.num_images / max(findings.num_images, 1)
        table.add_row(Text(printable(one.name)), f"{one.num_images:,}", f"{share:.1%}", f"{one.num_unreadable or ''}")
    return table


def _facts(findings: Findings) -> Iterator[str]:
    yield f"{findings.num_images:,} images of {len(findings.classes)} classes in {findings.folder}"
    if findings.formats:
        yield "formats: " + ", ".join(f"{count:,} {name}" for name, count in findings.formats.items())
    if findings.sizes:
        sizes = ", ".join(f"{one.width} × {one.height} ({one.num_images:,})" for one in findings.sizes)
        what = "size" if findings.num_sizes == 1 else f"{findings.num_sizes:,} sizes: smallest, most frequent, largest"
        yield f"{what}: {sizes}"
    if findings.ignored:
        yield "ignored by extension: " + ", ".join(f"{count:,} {name}" for name, count in findings.ignored.items())
    if is_imbalanced(findings):
        yield (
            f"imbalance: the largest class has {findings.imbalance:.1f} times the images of the smallest;"
            " cnnsvc train --balance weights makes each weigh the same, --balance copies repeats the smaller"
        )


def _say(console: Console, text: str) -> None:
    console.print(printable(text), markup=False, highlight=False, soft_wrap=True)
