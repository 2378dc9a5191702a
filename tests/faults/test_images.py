"""Mutated images, through the pixel function and over both doors; `python -m bench.faults.images` is the long form."""

import pytest

from bench.faults.images import Bounds, problems, run

pytestmark = pytest.mark.slow


def test_mutants_do_no_harm() -> None:
    """No process crashes or hangs, and each answer is a classification or a refusal of the image.

    So few say little about memory: only that it does not run away.
    """
    rows = run(4000)
    assert problems(rows, Bounds(growth_mib=200)) == []
    assert [row.num_images for row in rows] == [4000, 2000, 2000]
    assert all(row.kinds["ok"] > 100 for row in rows)
