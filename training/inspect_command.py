"""`cnnsvc inspect`: what is in a folder of images before anybody trains on it, without TensorFlow."""

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from cnnsvc.errors import DatasetError
from training.dataset import scan
from training.inspection.findings import findings_of
from training.inspection.inspection import inspect_folder
from training.inspection.text import print_findings
from training.page_file import check_page, write_page
from training.progress import Reporter

app = typer.Typer(add_completion=False)


@app.command()
def inspect(
    folder: Annotated[Path, typer.Argument(help="Folder with one sub-folder of images for each class.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object that names every file.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page with pictures, too; one file, no network.")] = None,
) -> None:
    """Tell of a training folder: classes, formats, sizes, bad files, duplicates, contradicting labels.

    Findings are no failure; exit status 2 if the folder cannot be trained on.
    """
    if html is not None:
        check_page(html)
    inspection = inspect_folder(scan(folder), Reporter())
    findings = findings_of(inspection)
    if as_json:
        sys.stdout.write(msgspec.json.encode(findings).decode() + "\n")
    else:
        print_findings(findings, Console(highlight=False))
    if html is not None:
        from training.inspection.page import inspection_page

        write_page(html, inspection_page(inspection, findings))
    if findings.obstacle:
        raise DatasetError(f"{folder} cannot be trained on: {findings.obstacle}")
