"""Sends what the OpenAPI document of a real server allows and what it forbids, and checks each answer against it.

    python -m bench.faults.api [--examples 1000] [--seed 1]

Schemathesis makes the requests: to a server without the admin API, then to one with it. Ends with 1 where an answer is
an error of the server, is not as the document describes it or accepts what it forbids, or the log has an error.

Left out of its checks is that what the document allows is accepted: no schema says which bytes are an image, or which
labels a model has. 504 counts as no error of the server: requests ask for it with a time limit of a millisecond.
"""

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from bench.faults.server_faults import server_faults
from service.access import hash_of
from tests.bundles import write_bundle
from tests.e2e.server import Server, serving

_SCHEMATHESIS: Final = Path(sys.executable).with_name("schemathesis")
_TOKEN: Final = "a-token-of-this-run-alone"
_TOKENS: Final = f'''
[[tokens]]
name = "schemathesis"
scopes = ["admin", "classify", "metrics"]
sha256 = "{hash_of(_TOKEN)}"
'''
_CONFIG: Final = """
[checks]
positive_data_acceptance.enabled = false
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "504"]
"""
_SHOWN_LINES: Final = 80


class Failure(msgspec.Struct):
    title: str
    count: int
    operations: list[str]


class Operations(msgspec.Struct):
    selected: int
    tested: int


class Generated(msgspec.Struct):
    generated: int


class Report(msgspec.Struct):
    """What is read of Schemathesis' report."""

    exit_code: int
    running_time: float
    """Seconds."""
    operations: Operations
    test_cases: Generated
    failures: list[Failure]


@dataclass(frozen=True)
class Row:
    name: str
    report: Report
    answers: Counter[str]
    """By kind, of the routes that are measured."""
    problems: list[str]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", type=int, default=1000, help="most test cases of each operation and phase")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rows = run(arguments.examples, arguments.seed)
    sys.stdout.write(table(rows))
    sys.stdout.writelines(f"- PROBLEM: {row.name}: {problem}\n" for row in rows for problem in row.problems)
    sys.exit(1 if any(row.problems for row in rows) else 0)


def run(num_examples: int, seed: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as work:
        return [_run(Path(work) / name, name, num_examples, seed) for name in ("plain", "admin")]


def table(rows: list[Row]) -> str:
    lines = ["| API | operations | requests | failures | answers by kind | seconds |", "|---|---:|---:|---:|---|---:|"]
    for row in rows:
        report = row.report
        answers = ", ".join(f"{number:,} {kind}" for kind, number in sorted(row.answers.items()))
        lines.append(
            f"| {row.name} | {report.operations.tested} of {report.operations.selected} |"
            f" {report.test_cases.generated:,} | {sum(failure.count for failure in report.failures)} | {answers} |"
            f" {report.running_time:.0f} |"
        )
    return "\n".join(lines) + "\n"


def _run(folder: Path, name: str, num_examples: int, seed: int) -> Row:
    """Two versions, so that there is one to unload and to go back to."""
    folder.mkdir()
    for version in range(2):
        write_bundle(folder / "models", seed=version)
    (folder / "tokens.toml").write_text(_TOKENS)
    (folder / "schemathesis.toml").write_text(_CONFIG)
    options = ("--tokens-file", folder / "tokens.toml") if name == "admin" else ()
    with serving("--models-dir", folder / "models", "--versions", "latest:2", *options) as server:
        told, report = _ask(server, folder, num_examples, seed)
        answers = _answers(server)
        faults = server_faults(server)
    return Row(name, report, answers, [*_problems(told, report), *faults])


def _ask(server: Server, folder: Path, num_examples: int, seed: int) -> tuple[str, Report]:
    """What Schemathesis told, and its report."""
    (folder / "openapi.json").write_bytes(msgspec.json.encode(_document(server)))
    words = [
        _SCHEMATHESIS, "--config-file", folder / "schemathesis.toml", "--no-color",
        "run", folder / "openapi.json", "--url", server.http_url, "--header", f"Authorization: Bearer {_TOKEN}",
        "--max-examples", num_examples, "--seed", seed, "--generation-database", "none", "--continue-on-failure",
        "--report", "json", "--report-json-path", folder / "report.json",
    ]  # fmt: skip
    told = subprocess.run([*map(str, words)], cwd=folder, capture_output=True, text=True, check=False)
    path = folder / "report.json"
    if not path.exists():
        raise RuntimeError(f"Schemathesis ended with {told.returncode}: {told.stdout}{told.stderr}")
    return told.stdout, msgspec.json.decode(path.read_bytes(), type=Report)


def _document(server: Server) -> dict[str, Any]:
    """As it is served, with the time limit as the text that a header is.

    Else Schemathesis takes every time limit for a wrong one, since "30" is no integer, and what is accepted beside it,
    such as a header that nobody knows, for an error.
    """
    document: dict[str, Any] = httpx.get(f"{server.http_url}/openapi.json").json()
    document["components"]["parameters"]["timeout"]["schema"] = {"type": "string", "pattern": "^0{0,9}[1-9][0-9]{0,8}$"}
    return document


def _answers(server: Server) -> Counter[str]:
    answers: Counter[str] = Counter()
    scraped = httpx.get(f"{server.http_url}/metrics", headers={"authorization": f"Bearer {_TOKEN}"}).text
    for family in text_string_to_metric_families(scraped):
        for sample in family.samples:
            if sample.name == "cnnsvc_request_duration_seconds_count" and sample.value:
                answers[sample.labels["code"]] += int(sample.value)
    return answers


def _problems(told: str, report: Report) -> list[str]:
    found = [f"{one.title} ({one.count}): {', '.join(one.operations)}" for one in report.failures]
    if report.exit_code or found:
        shown = told.partition("= FAILURES =")[2] or told
        found.append("Schemathesis tells:\n" + "\n".join(shown.splitlines()[:_SHOWN_LINES]))
    if report.operations.tested < report.operations.selected:
        found.append(f"{report.operations.selected - report.operations.tested} operations were not asked")
    return found


if __name__ == "__main__":
    main()
