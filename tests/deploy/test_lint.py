"""Packaged linters and schemas on everything under deploy/ and on the Dockerfile."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from ruamel.yaml import YAML

from deploy.dockerfile import read_stages
from tests.deploy.dashboard import DASHBOARD, sections
from tests.deploy.programs import require

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "compose.yaml"


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("hadolint", ["--failure-threshold", "style", ROOT / "Dockerfile"]),
        ("check-jsonschema", ["--builtin-schema", "vendor.compose-spec", COMPOSE]),
        ("compose-lint", ["--fail-on", "high", COMPOSE]),
    ],
)
def test_the_linter_is_content(program: str, arguments: list[str | Path]) -> None:
    """hadolint on the Dockerfile; the schema of Compose files and a linter of their safety on compose.yaml."""
    words = [str(word) for word in (Path(sys.executable).with_name(program), *arguments)]
    linted = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_promtool_accepts_the_configuration() -> None:
    """promtool finds nothing wrong in prometheus.yml, and rules where it says that they are."""
    promtool = require("promtool", "prometheus")
    words = [promtool, "check", "config", "--lint=all", "--lint-fatal", str(DEPLOY / "prometheus" / "prometheus.yml")]
    checked = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert re.findall(r"(\d+) rule files found", checked.stdout) == ["2"]


def test_haproxy_accepts_the_configuration() -> None:
    """haproxy -c finds nothing to warn of in haproxy.cfg."""
    haproxy = require("haproxy", "haproxy")
    words = [haproxy, "-c", "-dW", "-f", str(DEPLOY / "haproxy" / "haproxy.cfg")]
    checked = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_grafana_knows_every_field_of_the_dashboard() -> None:
    """Read into Grafana's own types and written again, nothing of the dashboard is lost: no field is misspelt."""
    register_default_plugins()
    dashboard = json.loads(DASHBOARD.read_text())
    written = json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))
    assert _lost(dashboard, written, "") == []


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    """Each panel has its own number and, among those shown with it, its own place in the 24 columns."""
    numbers = [panel["id"] for section in sections() for panel in section]
    assert len(set(numbers)) == len(numbers)
    for section in sections():
        places = [panel["gridPos"] for panel in section]
        cells = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]
        assert len(set(cells)) == len(cells)
        assert max(x for x, _ in cells) < 24


def test_compose_fits_the_image_and_the_files_beside_it() -> None:
    """What it mounts exists, what it publishes is exposed and reachable from this machine only."""
    services = _yaml(COMPOSE)["services"]
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        sources = [volume.split(":")[0] for volume in service["volumes"] if volume.startswith("./")]
        assert all((DEPLOY / source).exists() for source in sources)
    (exposed,) = [
        step.words for step in read_stages((ROOT / "Dockerfile").read_text())[-1].steps if step.instruction == "EXPOSE"
    ]
    assert [port.split(":")[2] for port in services["cnnsvc"]["ports"]] == exposed


def test_prometheus_and_grafana_are_pointed_at_their_services() -> None:
    """Targets and data source name services of compose.yaml, and the dashboard is where its provider looks."""
    services = _yaml(COMPOSE)["services"]
    jobs = _yaml(DEPLOY / "prometheus" / "prometheus.yml")["scrape_configs"]
    assert jobs[0]["static_configs"][0]["targets"] == [f"cnnsvc:{services['cnnsvc']['ports'][1].split(':')[2]}"]
    provisioning = DEPLOY / "grafana" / "provisioning"
    (source,) = _yaml(provisioning / "datasources" / "prometheus.yaml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert set(re.findall(r'"uid": "(\w+)"', DASHBOARD.read_text())) == {source["uid"], "cnnsvc"}
    (provider,) = _yaml(provisioning / "dashboards" / "cnnsvc.yaml")["providers"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in services["grafana"]["volumes"]


def _yaml(file: Path) -> Any:
    return YAML(typ="safe").load(file)


def _lost(expected: Any, found: Any, path: str) -> list[str]:
    """Paths of what is in `expected` and not the same in `found`, which may hold more."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return [lost for key in expected for lost in _lost(expected[key], found.get(key), f"{path}/{key}")]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found, strict=True))
        return [lost for index, (one, other) in pairs for lost in _lost(one, other, f"{path}/{index}")]
    return [] if expected == found else [f"{path}: {expected!r} became {found!r}"]
