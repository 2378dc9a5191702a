"""The rules of Prometheus: its own checker and their unit tests, and that none is without a test or a section."""

import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from docs.generator.markdown import anchor
from tests.deploy.programs import require
from tests.deploy.rules import RULE_TESTS, RULES, alert_tests, alerts

pytestmark = pytest.mark.slow

SECTIONS: Final = Path(__file__).parents[2] / "docs" / "alerts.md"


def test_promtool_accepts_the_rules() -> None:
    """promtool finds nothing wrong in them, nor anything to improve."""
    _promtool("check", "rules", "--lint=all", "--lint-fatal", *RULES)


@pytest.mark.parametrize("file", RULE_TESTS, ids=lambda file: file.stem)
def test_the_rules_do_what_their_tests_say(file: Path) -> None:
    """promtool runs the unit tests."""
    _promtool("test", "rules", file)


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: f"{alert['alert']}-{'-'.join(alert['labels'].values())}")
def test_an_alert_is_tested_with_its_fault_and_without(alert: dict[str, Any]) -> None:
    """In one unit test it fires, in another look it does not."""
    looks = [look["exp_alerts"] for look in alert_tests() if look["alertname"] == alert["alert"]]
    fires = [any(alert["labels"].items() <= expected["exp_labels"].items() for expected in look) for look in looks]
    assert set(fires) == {True, False}


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: f"{alert['alert']}-{'-'.join(alert['labels'].values())}")
def test_an_alert_says_what_an_operator_needs(alert: dict[str, Any]) -> None:
    """How urgent it is, what is wrong, and where that is explained."""
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert set(alert["annotations"]) == {"summary", "description", "runbook"}
    assert alert["annotations"]["runbook"] == f"docs/{SECTIONS.name}{anchor(alert['alert'])}"


def test_every_alert_has_its_section() -> None:
    """docs/alerts.md has a section for each alert, in their order, and for nothing else."""
    sections = re.findall(r"^### (.+)$", SECTIONS.read_text(encoding="utf-8"), re.MULTILINE)
    assert sections == list(dict.fromkeys(alert["alert"] for alert in alerts()))


def _promtool(*words: str | Path) -> None:
    command = [require("promtool", "prometheus"), *map(str, words)]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert checked.returncode == 0, checked.stdout + checked.stderr
