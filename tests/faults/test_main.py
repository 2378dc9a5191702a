"""`python -m bench.faults`: every scenario has its place, and none that fails or is absent goes unnoticed."""

from pathlib import Path

import pytest

from bench.faults.__main__ import LONG_FORMS, run_all

FAULTS = Path(__file__).parents[2] / "bench" / "faults"


def test_every_scenario_is_run() -> None:
    """Each module of bench/faults that can be run by itself has a long form."""
    found = {f"bench.faults.{file.stem}" for file in FAULTS.glob("*.py") if "def main(" in file.read_text()}
    assert found - {"bench.faults.__main__"} <= set(LONG_FORMS)


def test_one_that_fails_or_is_absent_is_named_and_the_rest_run(capfd: pytest.CaptureFixture[str]) -> None:
    """What each says stands below its heading; a failed one is told with its status, an absent one as not run."""
    forms = {"bench.faults.absent": (), "json.tool": ("no such file",), "this": ()}
    assert run_all(forms) == ["bench.faults.absent", "json.tool"]
    absent, failed, good = capfd.readouterr().out.split("## ")[1:]
    assert "NOT RUN: there is no module bench.faults.absent" in absent
    assert "`python -m json.tool 'no such file'`" in failed
    assert "FAILED: it ended with status" in failed
    assert "The Zen of Python" in good
    assert "FAILED" not in good
