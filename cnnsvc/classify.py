"""`cnnsvc classify`: many files through one classifier, past the bad ones, as a table, JSON lines or CSV."""

import csv
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import track

from cnnsvc.classification import Classification, Classifier
from cnnsvc.errors import CnnsvcError

OutputFormat = Literal["table", "json", "csv"]


@dataclass(frozen=True)
class FileOutcome:
    """The classification of a file, or why there is none."""

    file: Path
    classification: Classification | None
    error: str = ""


def classify_files(classifier: Classifier, files: list[Path], top_k: int | None) -> Iterator[FileOutcome]:
    """One outcome a file, in the order of the files; a bad file is an outcome, not the end."""
    for file, outcome in classifier.classify_stream(((file, file) for file in files), top_k, in_order=True):
        if isinstance(outcome, CnnsvcError):
            yield FileOutcome(file, None, str(outcome))
        else:
            yield FileOutcome(file, outcome)


def print_outcomes(outcomes: Iterable[FileOutcome], num_files: int, output_format: OutputFormat) -> int:
    """Prints every outcome to standard output, with a progress bar beside it for a person: the number of failures."""
    console = Console(stderr=True)
    is_watched = num_files > 1 and console.is_terminal
    num_failed = 0
    print_one = _PRINTERS[output_format]()
    for outcome in track(
        outcomes, "classifying", total=num_files, console=console, disable=not is_watched, transient=True
    ):
        num_failed += outcome.classification is None
        print_one(outcome)
    return num_failed


def _table() -> Callable[[FileOutcome], None]:
    """One line a file, made for reading: name, best class, its score, the next ones."""
    console = Console(soft_wrap=True, highlight=False)

    def print_one(outcome: FileOutcome) -> None:
        if outcome.classification is None:
            console.print(f"{escape(str(outcome.file))}  [red]error[/]  {escape(outcome.error)}")
            return
        (name, score), *others = outcome.classification.classes
        rest = "  ".join(f"{escape(other)} {value:.3f}" for other, value in others)
        is_rejected = outcome.classification.rejected
        best = f"[yellow]none of these[/], closest is {escape(name)}" if is_rejected else f"[bold]{escape(name)}[/]"
        console.print(f"{escape(str(outcome.file))}  {best} {score:.3f}  [dim]{rest}[/]")

    return print_one


def _json() -> Callable[[FileOutcome], None]:
    """One JSON document a line."""

    def print_one(outcome: FileOutcome) -> None:
        sys.stdout.write(msgspec.json.encode(_record(outcome)).decode() + "\n")

    return print_one


def _csv() -> Callable[[FileOutcome], None]:
    """One row a class, or one with the error."""
    writer = csv.writer(sys.stdout)
    writer.writerow(["file", "model", "version", "rank", "class", "score", "error", "rejected"])

    def print_one(outcome: FileOutcome) -> None:
        found = outcome.classification
        if found is None:
            writer.writerow([outcome.file, "", "", "", "", "", outcome.error, ""])
            return
        for place, (name, score) in enumerate(found.classes, start=1):
            row = [outcome.file, found.model, found.version, place, name, f"{score:.9g}", "", found.rejected]
            writer.writerow(row)

    return print_one


_PRINTERS: Final[dict[OutputFormat, Callable[[], Callable[[FileOutcome], None]]]] = {
    "table": _table,
    "json": _json,
    "csv": _csv,
}


def _record(outcome: FileOutcome) -> dict[str, object]:
    found = outcome.classification
    if found is None:
        return {"file": str(outcome.file), "error": outcome.error}
    classes = [{"name": name, "score": score} for name, score in found.classes]
    return {
        "file": str(outcome.file),
        "model": found.model,
        "version": found.version,
        "classes": classes,
        "rejected": found.rejected,
    }
