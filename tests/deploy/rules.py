"""The rules of Prometheus and their unit tests as data."""

import functools
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from tests.deploy.prometheus import CONFIGURATION

RULES: Final = sorted((CONFIGURATION / "rules").glob("*.yml"))
RULE_TESTS: Final = sorted((CONFIGURATION / "rules_test").glob("*.yml"))


def alerts() -> list[dict[str, Any]]:
    """Every alert rule, in order; several may share a name."""
    return [rule for rule in _rules() if "alert" in rule]


def records() -> list[str]:
    """The names that recording rules give."""
    return [rule["record"] for rule in _rules() if "record" in rule]


def expressions() -> list[str]:
    return [rule["expr"] for rule in _rules()]


def alert_tests() -> list[dict[str, Any]]:
    """Every look at an alert that a unit test takes."""
    tests = [test for file in RULE_TESTS for test in _yaml(file)["tests"]]
    return [look for test in tests for look in test.get("alert_rule_test", [])]


def _rules() -> list[dict[str, Any]]:
    return [rule for file in RULES for group in _yaml(file)["groups"] for rule in group["rules"]]


@functools.cache
def _yaml(file: Path) -> Any:
    return YAML(typ="safe").load(file)
