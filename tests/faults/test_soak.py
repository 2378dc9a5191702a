"""The soak of `python -m bench.faults.soak`: what is a problem, and twenty seconds of it."""

from array import array
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from bench.faults.mixture import UNEXPECTED
from bench.faults.samples import Sample
from bench.faults.soak import Bounds, Found, Piece, problems, run, table

GOOD = Found(
    rate_per_second=10,
    pieces=[Piece(60.0 * minute, Counter(ok=500, invalid=100), array("f", [3.0] * 500), 0, "") for minute in range(10)],
    samples=[Sample(2.0 * index, 150 + index % 3, 40) for index in range(300)],
    num_descriptors_before=20,
    num_descriptors_after=20,
)
GROWING = [replace(sample, resident_mib=150 + sample.seconds / 100) for sample in GOOD.samples]
FAILED = Piece(600, Counter({UNEXPECTED: 2}), array("f"), 0, "a failure")


def test_what_is_good_has_no_problem() -> None:
    """Nothing grows and all is as expected; the table has a row for each sixth or less."""
    assert problems(GOOD, Bounds()) == []
    assert table(GOOD).count(" to ") == 5 * 2 + 1


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (replace(GOOD, samples=GROWING), "resident memory grows, by 36.00 MiB an hour at least"),
        (replace(GOOD, num_descriptors_after=23), "3 file descriptors are left over"),
        (replace(GOOD, pieces=[*GOOD.pieces, FAILED]), "2 outcomes are not the expected ones, the first a failure"),
        (replace(GOOD, samples=GOOD.samples[:15]), "15 samples are too few to say whether memory grows"),
        (replace(GOOD, faults=["the server ended with -9"]), "the server ended with -9"),
    ],
)
def test_each_figure_missed_is_a_problem(found: Found, problem: str) -> None:
    """One that is missed is one problem, which says what was found."""
    assert problems(found, Bounds()) == [problem]
    assert "Resident memory" in table(found)


@pytest.mark.slow
def test_twenty_seconds(tmp_path: Path) -> None:
    """Every outcome is the expected one and no descriptor stays; of memory only that it does not run away.

    A server that is still warming up grows: `python -m bench.faults.soak` waits for the end of that.
    """
    csv = tmp_path / "samples.csv"
    found = run(None, seconds=20, samples=csv)
    assert problems(found, Bounds(low_mib_per_hour=3 * 3600)) == []
    assert found.kinds["ok"] > 100
    assert found.kinds["invalid"] > 10
    head, *rows = csv.read_text().splitlines()
    assert head == "seconds,resident_mib,num_descriptors"
    assert len(rows) == len(found.samples) >= 20
