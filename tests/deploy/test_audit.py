"""`make audit` against a vulnerability service of the test's own, which knows what it is told to know."""

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

_OLD_RELEASE = "2.10"
"""Of jinja2: what audit.sh asks for first."""

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class _Service:
    address: str
    asked: set[tuple[str, str]] = field(default_factory=set)
    """Packages with their releases."""


@contextmanager
def _service(*vulnerable: str, knows_the_old: bool = True) -> Iterator[_Service]:
    """One that speaks OSV's protocol and knows a vulnerability of each of these packages."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked = query["package"]
            service.asked.add((asked["name"], query["version"]))
            is_known = asked["name"] in vulnerable or (knows_the_old and query["version"] == _OLD_RELEASE)
            ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.9"}]}]
            known = {
                "id": "TEST-2026-1",
                "details": "",
                "aliases": [],
                "affected": [{"package": asked, "ranges": ranges}],
            }
            body = json.dumps({"vulns": [known]} if is_known else {}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        service = _Service(f"http://127.0.0.1:{server.server_port}/query")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()


def _audit(address: str) -> tuple[int, str]:
    """Status and words."""
    if not (ROOT / ".venv/audit/bin/pip-audit").exists():
        pytest.skip("pip-audit is not installed: make audit")
    words = ["requirements/audit.sh", "--vulnerability-service", "osv", "--osv-url", address]
    finished = subprocess.run(
        words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=240
    )
    return finished.returncode, finished.stdout


def test_every_locked_package_is_asked_for() -> None:
    """Those of all locks that this Python installs, each in its release; where nothing is known the status is 0."""
    with _service() as service:
        status, said = _audit(service.address)
    assert status == 0, said
    text = "\n".join(lock.read_text() for lock in (ROOT / "requirements").rglob("*.txt"))
    locked = set(re.findall(r"^(\S+)==(\S+) \\$", text, re.MULTILINE))
    assert len(locked) > 100
    assert locked <= service.asked


def test_the_licence_of_all_that_serves_is_told() -> None:
    """Each package that every system installs to serve has a line, with a licence."""
    with _service(knows_the_old=False) as service:
        said = _audit(service.address)[1]
    lines = (line.lower().replace("_", "-").split() for line in said.splitlines())
    told = {words[0]: words[2] for words in lines if len(words) > 2}
    locked = re.findall(r"^(\S+)==(\S+) \\$", (ROOT / "requirements/serve.txt").read_text(), re.MULTILINE)
    assert len(locked) > 30
    assert {name: told.get(name, "unknown") for name, _ in locked if told.get(name, "unknown") == "unknown"} == {}


def test_a_known_vulnerability_is_a_failure() -> None:
    """The status is 1, and package, vulnerability and the release that mends it are named."""
    with _service("pillow") as service:
        status, said = _audit(service.address)
    assert status == 1
    assert any(line.split()[::2] == ["pillow", "TEST-2026-1"] for line in said.splitlines()), said


def test_who_cannot_be_asked_is_named() -> None:
    """Nobody answers: the audit is skipped, and says so."""
    with _service() as service:
        pass
    status, said = _audit(service.address)
    assert (status, said.splitlines()[-1]) == (0, "audit: SKIPPED, the vulnerability service cannot be asked")


def test_who_knows_nothing_is_not_believed() -> None:
    """A service that does not know an old hole either is no witness: as if it could not be asked."""
    with _service(knows_the_old=False) as service:
        status, said = _audit(service.address)
    assert (status, said.splitlines()[-1]) == (0, "audit: SKIPPED, the vulnerability service cannot be asked")
