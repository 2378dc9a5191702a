"""The Grafana board as tests read it: its panels, those of collapsed rows among them, and what they ask."""

import json
from pathlib import Path
from typing import Any, Final

DASHBOARD: Final = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards" / "cnnsvc.json"


def sections() -> list[list[dict[str, Any]]]:
    """Panels that are shown together: those at the top level, rows too, and those of each collapsed row."""
    top = json.loads(DASHBOARD.read_text())["panels"]
    return [top, *(panel["panels"] for panel in top if panel.get("panels"))]


def queries() -> list[str]:
    """Every query of every panel."""
    panels = [panel for section in sections() for panel in section if panel["type"] != "row"]
    return [target["expr"] for panel in panels for target in panel["targets"]]
