"""The findings as one page with pictures that asks nothing of any other file or server.

Class names and file names are somebody else's text: the template escapes every value, and the page's own content
security policy allows neither scripts nor requests.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cnnsvc import pixels
from cnnsvc.errors import ImageError, TooLargeError
from training.inspection.findings import Findings, shown
from training.inspection.inspection import Inspection
from training.inspection.text import is_imbalanced
from training.originals import read_file
from training.page_templates import template
from training.report_pictures import thumbnail

MAX_GROUPS: Final = 20
MAX_PICTURES: Final = 6
"""Of one group; five sections of these stay below two megabytes or so."""
_MAX_ROWS: Final = 250
_SIDE: Final = 128


@dataclass(frozen=True)
class Picture:
    file: str
    source: str
    """A data URI; empty where the file is no image."""
    note: str


@dataclass(frozen=True)
class Section:
    id: str
    title: str
    note: str
    num_groups: int
    groups: list[list[Picture]]
    """The first of them."""
    num_hidden: list[int]
    """Pictures that each of them has besides."""


def inspection_page(inspection: Inspection, findings: Findings) -> str:
    """HTML, a few KiB a picture."""
    rows = {
        shown(file.relative_to(inspection.listing.folder)): row for row, file in enumerate(inspection.listing.files)
    }
    sections = [
        Section(
            name,
            title,
            note,
            len(groups),
            [[_picture(inspection, rows[file]) for file in files[:MAX_PICTURES]] for files in groups[:MAX_GROUPS]],
            [max(0, len(files) - MAX_PICTURES) for files in groups[:MAX_GROUPS]],
        )
        for name, title, note, groups in _sections(findings)
        if groups
    ]
    return template("inspection_page.html.j2").render(
        findings=findings,
        folder_name=shown(Path(inspection.listing.folder.resolve().name)),  # without its path: a page travels
        classes=sorted(findings.classes, key=lambda one: (-one.num_images, one.name)),
        is_imbalanced=is_imbalanced(findings),
        sections=sections,
        max_rows=_MAX_ROWS,
        max_groups=MAX_GROUPS,
    )


def _sections(findings: Findings) -> list[tuple[str, str, str, list[list[str]]]]:
    odd = [[one.file] for one in findings.wrong_endings]
    return [
        ("conflicts", "One image, two labels", "The same bytes in several classes.", findings.exact_conflicts),
        (
            "near-conflicts",
            "Nearly one image, two labels",
            "Nearly the same pixels in two classes.",
            findings.near_conflicts,
        ),
        ("exact", "Exact duplicates", "Files of the same bytes.", findings.exact_duplicates),
        ("near", "Near duplicates", "Encoded anew or in another size.", findings.near_duplicates),
        ("endings", "Ending of another format", "They are read by their content.", odd),
        ("plain", "Single-colour", "Nothing can be learned from them.", [[file] for file in findings.single_colour]),
        ("tiny", "Tiny", "Less than 16 pixels wide or high.", [[file] for file in findings.tiny]),
    ]


def _picture(inspection: Inspection, row: int) -> Picture:
    """The image in its own proportions."""
    file, glance = inspection.listing.files[row], inspection.glances[row]
    name = shown(file.relative_to(inspection.listing.folder))
    scale = _SIDE / max(glance.width, glance.height, 1)
    height, width = max(1, round(glance.height * scale)), max(1, round(glance.width * scale))
    try:
        source = thumbnail(pixels.decode(read_file(file), height, width, 3))
    except (ImageError, TooLargeError):  # gone or changed meanwhile
        source = ""
    return Picture(name, source, f"{glance.width} × {glance.height} {glance.format}")
