"""Which parts of an image a score hangs on: patches of it are covered in turn, and the score falls where it matters.

Pure arithmetic over decoded images, for whoever has a network to ask: no gradients, so any engine will do.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from cnnsvc.bins import channel_means
from cnnsvc.errors import InvalidError
from cnnsvc.pixels import Pixels

LEAST_BUDGET: Final = 16
DEFAULT_BUDGET: Final = 200
"""A patch of about a seventh of each side, in steps of half of one."""
MOST_BUDGET: Final = 1024

_LARGEST_PATCH: Final = 4
"""Patches that overlap are at most this part of the shorter side: larger ones cover everything that matters at once."""

Heat = list[list[float]]
"""Rows of a grid: by how much the score falls where this cell's patch is covered; negative where it rises."""


class Box(NamedTuple):
    """Pixels of an image, the ends not included."""

    top: int
    left: int
    bottom: int
    right: int


class Region(NamedTuple):
    box: Box
    drop: float
    """Of the score."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Cells that share an image evenly, and the square patch that is laid over the middle of each."""

    image_height: int
    image_width: int
    height: int
    """Rows."""
    width: int
    """Columns."""
    patch: int
    """Its side in pixels."""

    @property
    def num_inferences(self) -> int:
        """The image as it is, and once for each cell."""
        return 1 + self.height * self.width

    def box(self, row: int, column: int) -> Box:
        """The pixels under a cell's patch."""
        top, bottom = self._span(row, self.height, self.image_height)
        left, right = self._span(column, self.width, self.image_width)
        return Box(top, left, bottom, right)

    def boxes(self) -> Iterator[Box]:
        """Row by row."""
        for row in range(self.height):
            for column in range(self.width):
                yield self.box(row, column)

    def _span(self, cell: int, num_cells: int, num_pixels: int) -> tuple[int, int]:
        """A patch is cut at the edge, and covers its own cell whole."""
        middle = (cell + 0.5) * num_pixels / num_cells
        begin = round(middle - self.patch / 2)
        return max(0, begin), min(num_pixels, begin + self.patch)


@dataclass(frozen=True, slots=True)
class Explanation:
    model: str
    version: int
    class_name: str
    score: float
    """Of that class, the image as it is."""
    grid: Grid
    heat: Heat
    rejected: bool = False
    """Whether the image is of none of the classes, whatever class is explained."""


def plan_grid(image_height: int, image_width: int, budget: int) -> Grid:
    """The finest grid of square cells whose inferences stay within the budget, at least LEAST_BUDGET.

    Patches reach over half of their neighbours' cells, so that nothing hides on a border.
    """
    step = 1
    while (grid := _grid(image_height, image_width, step)).num_inferences > budget:
        step += 1
    return grid


def _grid(image_height: int, image_width: int, step: int) -> Grid:
    rows, columns = -(-image_height // step), -(-image_width // step)
    patch = max(step, min(2 * step, min(image_height, image_width) // _LARGEST_PATCH))
    return Grid(image_height, image_width, rows, columns, patch)


def occluded(image_hwc: Pixels, grid: Grid) -> Iterator[Pixels]:
    """The image with each patch in turn in its own mean colour, which tells the network nothing new."""
    mean = np.rint(channel_means(image_hwc)).astype(np.uint8)
    for top, left, bottom, right in grid.boxes():
        covered = image_hwc.copy()
        covered[top:bottom, left:right] = mean
        yield covered


def class_place(class_names: Sequence[str], scores_k: Sequence[float], class_name: str) -> int:
    """Of the class to explain: the best one unless it is named. Raises InvalidError for a name that is none."""
    if not class_name:
        return int(np.argmax(scores_k))
    check_class_name(class_names, class_name)
    return class_names.index(class_name)


def check_class_name(class_names: Sequence[str], class_name: str) -> None:
    """Raises InvalidError for a name that is none of the model's; "" is the best class."""
    if class_name and class_name not in class_names:
        known = ", ".join(class_names[:20]) + (", …" if len(class_names) > 20 else "")
        raise InvalidError(f"class_name is {class_name[:80]!r}; expected one of {known}")


def heat_of(grid: Grid, score: float, occluded_scores: Sequence[float]) -> Heat:
    """From the scores of the explained class, in the order of `occluded`."""
    drops = [round(score - float(other), 6) for other in occluded_scores]
    return [drops[start : start + grid.width] for start in range(0, len(drops), grid.width)]


def strongest(grid: Grid, heat: Heat, most: int = 3) -> list[Region]:
    """The regions under which the score falls most, greatest first; none overlaps another."""
    found: list[Region] = []
    cells = [(drop, row, column) for row, drops in enumerate(heat) for column, drop in enumerate(drops) if drop > 0]
    for drop, row, column in sorted(cells, key=lambda cell: -cell[0]):
        box = grid.box(row, column)
        if not any(_overlap(box, other.box) for other in found):
            found.append(Region(box, drop))
        if len(found) == most:
            break
    return found


def _overlap(one: Box, other: Box) -> bool:
    return one.top < other.bottom and other.top < one.bottom and one.left < other.right and other.left < one.right
