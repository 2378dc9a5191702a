"""training/ablation/facts.py: a study's table for a report, if it is of the same network."""

from pathlib import Path

import msgspec
import pytest

from cnnsvc.errors import InvalidError
from tests.training.ablation.test_table import outcome
from training.ablation.facts import ablation_facts
from training.ablation.measures import PLAIN
from training.page_templates import template


def test_the_effects_are_facts_of_the_network_they_are_of(tmp_path: Path) -> None:
    """They read as the table does, as JSON too, and the report prints them; another network's are refused."""
    file = tmp_path / "ablation.jsonl"
    lines = [outcome(PLAIN, 1, 0.6, 0.5), outcome("no dropout", 1, 0.8, 0.7), outcome("no dropout", 2, 0.7, 0.7)]
    file.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    facts = ablation_facts(file, "C: 4 D: 8R")
    assert msgspec.json.decode(msgspec.json.encode(facts)) == facts
    assert [one["measure"] for one in facts] == [PLAIN, "no dropout"]
    page = template("report_ablation.html.j2").render(ablation=facts)
    for part in ("0.600</td>", "0.750 ± 0.071</td>", "+0.200</td>", "on test images"):
        assert part in page
    with pytest.raises(InvalidError, match=r"is of C: 4 D: 8R; expected a study of C: 4 D: 16R"):
        ablation_facts(file, "C: 4 D: 16R")


def test_a_file_without_the_plain_recipe_is_refused(tmp_path: Path) -> None:
    """An absent file too: nothing can be compared."""
    with pytest.raises(InvalidError, match="has no training of the plain recipe; expected a study of C: 4 D: 8R"):
        ablation_facts(tmp_path / "none.jsonl", "C: 4 D: 8R")
