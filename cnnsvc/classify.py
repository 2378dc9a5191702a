"""`cnnsvc classify`: many files through one classifier, past the bad ones, as a table, JSON lines or CSV."""

import csv
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, Literal

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import track

from cnnsvc.classification import Classification, Classifier
from cnnsvc.errors import CnnsvcError

OutputFormat = Literal["table", "json", "csv"]

_NUM_THREADS: Final = 4
_FILES_AHEAD: Final = 64
"""Files read and not yet printed: what bounds memory."""


@dataclass(frozen=True)
class FileOutcome:
    """The classification of a file, or why there is none."""

    file: Path
    classification: Classification | None
    error: str = ""


def classify_files(classifier: Classifier, files: list[Path], top_k: int | None) -> Iterator[FileOutcome]:
    """One outcome a file, in the order of the files; a bad file is an outcome, not the end."""
    with ThreadPoolExecutor(_NUM_THREADS) as threads:
        remaining = iter(files)
        pending = [threads.submit(_classify_file, classifier, file, top_k) for file in islice(remaining, _FILES_AHEAD)]
        while pending:
            yield pending.pop(0).result()
            pending += [threads.submit(_classify_file, classifier, file, top_k) for file in islice(remaining, 1)]


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
        console.print(f"{escape(str(outcome.file))}  [bold]{escape(name)}[/] {score:.3f}  [dim]{rest}[/]")

    return print_one


def _json() -> Callable[[FileOutcome], None]:
    """One JSON document a line."""

    def print_one(outcome: FileOutcome) -> None:
        sys.stdout.write(msgspec.json.encode(_record(outcome)).decode() + "\n")

    return print_one


def _csv() -> Callable[[FileOutcome], None]:
    """One row a class, or one with the error."""
    writer = csv.writer(sys.stdout)
    writer.writerow(["file", "model", "version", "rank", "class", "score", "error"])

    def print_one(outcome: FileOutcome) -> None:
        found = outcome.classification
        if found is None:
            writer.writerow([outcome.file, "", "", "", "", "", outcome.error])
            return
        for place, (name, score) in enumerate(found.classes, start=1):
            writer.writerow([outcome.file, found.model, found.version, place, name, f"{score:.9g}", ""])

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
    return {"file": str(outcome.file), "model": found.model, "version": found.version, "classes": classes}


def _classify_file(classifier: Classifier, file: Path, top_k: int | None) -> FileOutcome:
    try:
        return FileOutcome(file, classifier.classify(file.read_bytes(), top_k))
    except OSError as error:
        return FileOutcome(file, None, f"cannot be read: {error.strerror}")
    except CnnsvcError as error:
        return FileOutcome(file, None, str(error))
