"""training/search/leaderboard.py, board.py and plot.py: the article's table, the front, the picture."""

import io
import json
from typing import Any

import msgspec
import numpy as np
import pytest
from rich.console import Console

from cnnsvc.manifest import ImageShape
from tests.training.search.outcomes import outcome
from training.search.board import board, print_leaderboard, progress
from training.search.choice import Choice, choose
from training.search.journal import Plan
from training.search.leaderboard import as_json, headings, markdown, pareto_front, ranked, row
from training.search.outcome import Outcome, Status
from training.search.plot import accuracy_figure

OUTCOMES = [
    outcome("cut", (0.3, 0.2), parameters=50, status=Status.CUT),
    outcome("failed", parameters=70, status=Status.FAILED, reason="the loss became nan"),
    outcome("good", (0.3, 0.4, 0.5, 0.6), parameters=200, training=(0.2, 0.4, 0.6, 0.8)),
    outcome("best", (0.3, 0.4, 0.9, 0.85), parameters=300),
    outcome("large", (0.3, 0.4, 0.5, 0.6), parameters=400),
    outcome("waiting", status=Status.WAITING),
]


def plan(outcomes: list[Outcome]) -> Plan:
    return Plan(
        format=1,
        folder="shapes",
        settings={"epochs": 4},
        image=ImageShape(16, 16, 3),
        class_names=["blue", "red"],
        fingerprint={},
        num_training=300,
        num_validation=100,
        least_right=60,
        candidates=[one.candidate for one in outcomes],
    )


def names(outcomes: list[Outcome]) -> list[str]:
    return [one.candidate.name for one in outcomes]


def test_the_best_comes_first() -> None:
    """Finished ones by accuracy, of equals the smaller one; then those that were cut, failed, wait."""
    assert names(ranked(OUTCOMES)) == ["best", "good", "large", "cut", "failed", "waiting"]


def test_the_front_holds_who_is_beaten_by_no_smaller_one() -> None:
    """Cut networks stand on no front: their accuracy is not their last."""
    assert names(pareto_front(OUTCOMES)) == ["good", "best"]
    assert pareto_front([]) == []
    same = [outcome("a", (0.5,), parameters=10), outcome("b", (0.6,), parameters=10)]
    assert names(pareto_front(same)) == ["b"]


def test_a_row_is_the_articles() -> None:
    """Network, parameters, both accuracies halfway and at the end, the best epoch, stability, and how it ended."""
    assert dict(zip(headings(4), row(OUTCOMES[2], 4), strict=True)) == {
        "network": "good",
        "notation": "C: 8 | 8 D: 4R",
        "parameters": "200",
        "training at 2": "0.400",
        "validation at 2": "0.400",
        "training at 4": "0.800",
        "validation at 4": "0.600",
        "best validation": "0.600",
        "at epoch": "4",
        "largest drop": "0",
        "result": "finished",
    }
    assert headings(20)[3] == "training at 10"
    assert row(OUTCOMES[3], 4)[-2:] == ["0.050 at 4", "finished"]
    assert row(OUTCOMES[0], 4)[3:] == ["0.900", "0.200", "–", "–", "0.300", "1", "–", "cut at epoch 2"]
    assert row(OUTCOMES[1], 4)[3:] == ["–"] * 7 + ["failed"]


def test_markdown_has_the_table_the_reasons_and_the_command() -> None:
    """A row a network, whose cells no bar of a notation breaks."""
    choice = choose(OUTCOMES, 100, 60)
    text = markdown(plan(OUTCOMES), OUTCOMES, choice, "cnnsvc train shapes")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(OUTCOMES)
    assert {line.replace("\\|", "").count("|") for line in rows} == {len(headings(4)) + 1}
    assert rows[2].startswith("| best ★ | `C: 8 \\| 8 D: 4R` | 300 |")
    assert "★" not in rows[4]
    assert "- best is chosen: no other one comes up to it" in text
    assert text.endswith("```sh\ncnnsvc train shapes\n```\n")
    assert "```" not in markdown(plan(OUTCOMES), OUTCOMES, Choice(None, ("none",)), None)


def test_json_has_all_curves() -> None:
    """Every epoch of every network, and the choice, for programs."""
    choice = choose(OUTCOMES, 100, 60)
    content: Any = json.loads(msgspec.json.encode(as_json(plan(OUTCOMES), OUTCOMES, choice, "command")))
    best, good = content["networks"][:2]
    assert (best["name"], best["result"], best["best_epoch"], best["is_on_front"]) == ("best", "finished", 3, True)
    assert best["largest_drop"] == {"size": pytest.approx(0.05), "epoch": 4, "before": 0.9, "after": 0.85}
    assert [record["training_accuracy"] for record in good["epochs"]] == [0.2, 0.4, 0.6, 0.8]
    assert content["networks"][4]["reason"] == "the loss became nan"
    assert content["choice"]["network"] == "best"
    assert content["choice"]["command"] == "command"


def test_the_printed_table_folds_only_the_notation() -> None:
    """Figures can be read on a terminal of 120 columns."""
    out = io.StringIO()
    print_leaderboard(OUTCOMES, 4, Console(file=out, width=120))
    lines = out.getvalue().splitlines()
    assert any("best" in line and "0.900" in line and "0.050 at 4" in line and "finished" in line for line in lines)
    assert max(map(len, lines)) <= 120


def test_the_picture_shows_front_and_choice() -> None:
    """Each finished network is named in it, cut ones are points only, the chosen one has a ring."""
    axes = accuracy_figure(OUTCOMES, OUTCOMES[3]).axes[0]
    assert sorted(text.get_text() for text in axes.texts) == ["best", "good", "large"]
    assert axes.get_legend_handles_labels()[1] == ["cut early", "finished", "Pareto front", "chosen"]
    assert np.asarray(axes.lines[0].get_xydata()).tolist() == [[200, 0.6], [300, 0.9]]
    assert accuracy_figure([OUTCOMES[1]], None).axes[0].get_legend() is None


def test_a_search_that_nobody_watches_speaks_in_lines() -> None:
    """One for a beginning, one an epoch, one for an end with how far the search is; nothing is taken for markup."""
    out = io.StringIO()
    outcomes = {one.candidate.name: one for one in OUTCOMES}
    with board(outcomes, 4, Console(file=out, width=40)) as on_change:
        on_change(outcome("[a]", status=Status.RUNNING))
        on_change(outcome("[a]", (0.5,), status=Status.RUNNING))
        on_change(OUTCOMES[0])
        on_change(OUTCOMES[1])
    assert out.getvalue().splitlines() == [
        "[a] begins: C: 8 | 8 D: 3R, 1,000 parameters",
        "[a] epoch 1/4  training accuracy 0.900  validation accuracy 0.500  100 images/s",
        "cut cut at epoch 2; 5 of 6 done, 1 of them cut, 1 of them failed",
        "failed failed: the loss became nan; 5 of 6 done, 1 of them cut, 1 of them failed",
    ]


def test_a_terminal_gets_a_table_that_changes() -> None:
    """Best first, what runs among them, no taller than the screen; what waits is not shown."""
    out = io.StringIO()
    running = outcome("running", (0.5,), status=Status.RUNNING)
    outcomes = {one.candidate.name: one for one in [*OUTCOMES, running]}
    console = Console(file=out, width=120, height=10, force_terminal=True, color_system=None)
    with board(outcomes, 4, console) as on_change:
        on_change(running)
        shown = out.getvalue()
    last = shown[shown.rindex("network") :]
    order = [name for name in ("best", "good", "large", "running", "cut", "failed") if f" {name} " in last]
    assert order == ["best", "good", "large", "running"]
    assert last.index(" large ") < last.index(" running ")
    assert " waiting " not in last
    assert progress(outcomes) in shown
