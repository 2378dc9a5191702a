"""What is known of a folder before training: each file at a glance, duplicates, and labels that contradict."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.dataset import Listing, without
from training.grouped_split import Grouped
from training.inspection.duplicates import Duplicates, find_duplicates
from training.inspection.glance import Glance, Thumbs, glance_all
from training.progress import Reporter


@dataclass(frozen=True)
class Inspection:
    listing: Listing
    glances: list[Glance]
    """In the order of the listing's files."""
    thumbs: Thumbs
    """Of the files in their order, by which others are compared with them."""
    duplicates: Duplicates
    exact_conflicts: list[list[int]]
    """Rows of the same bytes under several labels."""
    near_conflicts: list[tuple[int, int]]
    """Pairs of rows of nearly the same pixels and different labels."""

    @property
    def is_readable(self) -> NDArray[np.bool_]:
        return np.asarray([glance.reason is None for glance in self.glances], bool)

    def grouped(self) -> Grouped:
        """All files, for a split."""
        return Grouped(self.listing, self.duplicates.groups, self.is_readable)

    def grouped_without(self, rows: list[int]) -> Grouped:
        """The other files, for a split. Raises DatasetError where a class has too few left."""
        kept = np.delete(np.arange(len(self.glances)), rows)
        return Grouped(without(self.listing, rows), self.duplicates.groups[kept], self.is_readable[kept])


def inspect_folder(listing: Listing, reporter: Reporter) -> Inspection:
    """Reads and decodes every file once, small."""
    glances, thumbs = glance_all(listing.files, reporter)
    is_image = np.asarray([glance.reason is None for glance in glances], bool)
    duplicates = find_duplicates([glance.sha256 for glance in glances], thumbs, is_image)
    labels = listing.labels.tolist()
    copies = {rows[0]: rows for rows in duplicates.exact}
    near = [
        pair
        for left, right in duplicates.near
        if (pair := _contradicting(copies.get(left, [left]), copies.get(right, [right]), labels))
    ]
    exact = [rows for rows in duplicates.exact if len({labels[row] for row in rows}) > 1]
    return Inspection(listing, glances, thumbs, duplicates, exact, near)


def conflicting_rows(inspection: Inspection) -> list[int]:
    """Every row of an image that has, in the same or nearly the same pixels, another label too."""
    copies = {row: rows for rows in inspection.duplicates.exact for row in rows}
    found = {row for rows in inspection.exact_conflicts for row in rows}
    found.update(copy for pair in inspection.near_conflicts for row in pair for copy in copies.get(row, [row]))
    return sorted(found)


def _contradicting(left: list[int], right: list[int], labels: list[int]) -> tuple[int, int] | None:
    """One row of each side with different labels, where there are such."""
    return next(((one, other) for one in left for other in right if labels[one] != labels[other]), None)
