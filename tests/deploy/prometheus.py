"""A real Prometheus with our configuration and rules, in which only addresses, intervals and times are others."""

import json
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from tests.deploy.programs import require

CONFIGURATION: Final = Path(__file__).parents[2] / "deploy" / "prometheus"
_WINDOW: Final = "1m"


@dataclass(frozen=True)
class Prometheus:
    url: str

    def query(self, promql: str) -> list[dict[str, Any]]:
        """The samples of an instant query. Raises AssertionError where Prometheus refuses it."""
        return list(self._get("query", query=promql)["result"])

    def firing(self) -> dict[str, dict[str, str]]:
        """Labels of the alerts that fire, by name; of several of one name the last."""
        alerts = self._get("alerts")["alerts"]
        return {alert["labels"]["alertname"]: alert["labels"] for alert in alerts if alert["state"] == "firing"}

    def rules(self) -> list[dict[str, Any]]:
        """Every rule with its health and its last error."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def wait_until(self, is_so: Callable[[], bool], what: str) -> None:
        """60 s at most."""
        give_up = time.monotonic() + 60
        while not is_so():
            assert time.monotonic() < give_up, f"not within 60 s: {what}"
            time.sleep(0.2)

    def wait_for_scrapes(self, number: int) -> None:
        """Until that many more scrapes of the server have succeeded."""
        goal = self._num_scrapes() + number
        self.wait_until(lambda: self._num_scrapes() >= goal, f"{number} scrapes")

    def _num_scrapes(self) -> float:
        samples = self.query('sum_over_time(up{job="cnnsvc"}[10m])')
        return float(samples[0]["value"][1]) if samples else 0.0

    def _get(self, what: str, **parameters: str) -> Any:
        answer = httpx.get(f"{self.url}/api/v1/{what}", params=parameters).json()
        assert answer["status"] == "success", f"{parameters}: {answer}"
        return answer["data"]


@contextmanager
def prometheus(folder: Path, server_url: str) -> Iterator[Prometheus]:
    """It has begun; everything is scraped and evaluated once a second, windows are a minute, alerts wait a second."""
    program = require("prometheus", "prometheus")
    port = _free_port()
    configuration = _write_configuration(folder, server_url, f"127.0.0.1:{port}")
    words = [program, f"--config.file={configuration}", f"--storage.tsdb.path={folder / 'prometheus'}"]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen([*words, f"--web.listen-address=127.0.0.1:{port}"], stderr=log, stdout=log)
    try:
        begun = Prometheus(f"http://127.0.0.1:{port}")
        begun.wait_until(lambda: _has_begun(begun), "Prometheus answers")
        yield begun
    finally:
        process.terminate()
        process.wait(timeout=60)


def _write_configuration(folder: Path, server_url: str, own_address: str) -> Path:
    (folder / "rules").mkdir()
    for file in (CONFIGURATION / "rules").iterdir():
        text = re.sub(r"\[\d+[mhd]\]", f"[{_WINDOW}]", file.read_text())
        (folder / "rules" / file.name).write_text(re.sub(r"\bfor: \d+[mh]$", "for: 1s", text, flags=re.MULTILINE))
    text = (CONFIGURATION / "prometheus.yml").read_text()
    for ours, other in (
        ("cnnsvc:8501", server_url.removeprefix("http://")),
        ("localhost:9090", own_address),
        ("scrape_interval: 10s", "scrape_interval: 1s"),
        ("scrape_timeout: 5s", "scrape_timeout: 1s"),
        ("evaluation_interval: 30s", "evaluation_interval: 1s"),
    ):
        assert ours in text
        text = text.replace(ours, other)
    (folder / "prometheus.yml").write_text(text)
    return folder / "prometheus.yml"


def _has_begun(started: Prometheus) -> bool:
    try:
        return bool(started.query("up"))
    except (httpx.TransportError, json.JSONDecodeError):
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
