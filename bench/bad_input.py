"""Sends every bad input many times to a real server, good requests between them, and prints a Markdown table.

    python -m bench.bad_input [--number 1000] [--only WORDS]

Ends with 1 where a status or a kind is not the expected one, an answer is of kind internal, a good request is answered
wrong or later than GOOD_LIMIT_SECONDS, the server logs an error, or a case leaves more than MAX_GROWTH_MIB resident.
"""

import argparse
import contextlib
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench.bad_input_cases import BODY_LIMIT_BYTES, Case, Connection, Outcome, all_cases
from cnnsvc.classification import ScoredClass
from cnnsvc.client import Client
from tests.bundles import write_bundle
from tests.e2e.server import Server, serving
from tests.encoded import encode

NUM_CONNECTIONS = 4
MAX_GROWTH_MIB = 10.0
GOOD_LIMIT_SECONDS = 1.0
GOOD_PAUSE_SECONDS = 0.02
MESSAGE_LENGTH = 110


@dataclass
class Row:
    """What one case did."""

    case: Case
    num_sent: int
    outcomes: Counter[tuple[str, str]]
    message: str
    median_ms: float
    before_mib: float
    after_mib: float

    @property
    def growth_mib(self) -> float:
        return self.after_mib - self.before_mib


@dataclass
class GoodRequests:
    """Valid requests over both doors while the bad ones come."""

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--number", type=int, default=1000)
    parser.add_argument("--only", default="", help="cases whose name has these words")
    arguments = parser.parse_args()
    rows, good, problems = run(arguments.number, arguments.only)
    sys.stdout.write(table(rows, good))
    sys.stdout.writelines(f"- PROBLEM: {problem}\n" for problem in problems)
    sys.exit(1 if problems else 0)


def run(
    number: int, only: str = "", *, max_growth_mib: float = MAX_GROWTH_MIB, good_seconds: float = GOOD_LIMIT_SECONDS
) -> tuple[list[Row], GoodRequests, list[str]]:
    """Rows of the table, the good requests, and all that was not as it must be."""
    with tempfile.TemporaryDirectory() as models_dir:
        write_bundle(Path(models_dir))
        with serving("--models-dir", models_dir, "--body-limit-bytes", BODY_LIMIT_BYTES) as server:
            with _good_requests(server) as good:
                rows = [_run_case(server, case, number) for case in all_cases() if only in case.name]
            log = "".join(server.log)
    problems = [problem for row in rows for problem in _problems(row, max_growth_mib)] + good.failures[:10]
    if good.seconds and max(good.seconds) > good_seconds:
        problems.append(f"a good request took {max(good.seconds):.2f} s")
    if found := re.search(r"Traceback| ERROR ", log):
        problems.append(f"the server's log has an error:\n{log[max(0, found.start() - 200) :][:3000]}")
    return rows, good, problems


def table(rows: list[Row], good: GoodRequests) -> str:
    lines = [
        "| sent | over | status | kind | message | median ms | resident MiB | growth |",
        "|---|---|---|---|---|---:|---:|---:|",
    ]
    for row in rows:
        message = row.message if len(row.message) <= MESSAGE_LENGTH else row.message[:MESSAGE_LENGTH] + "…"
        statuses = ", ".join(sorted({status for status, _ in row.outcomes}))
        kinds = ", ".join(sorted({kind or "–" for _, kind in row.outcomes}))
        lines.append(
            f"| {row.case.name} | {row.case.door} | {statuses} | {kinds} | {message.replace('|', '/')} |"
            f" {row.median_ms:.1f} | {row.before_mib:.0f} → {row.after_mib:.0f} | {row.growth_mib:+.1f} |"
        )
    seconds = sorted(good.seconds)
    lines.append(
        f"\nGood requests meanwhile: {len(seconds)} over both doors, {len(good.failures)} wrong or failed, median"
        f" {1000 * median(seconds):.1f} ms, 99% within {1000 * seconds[int(0.99 * len(seconds))]:.0f} ms, longest"
        f" {1000 * seconds[-1]:.0f} ms."
    )
    return "\n".join(lines) + "\n"


def _problems(row: Row, max_growth_mib: float) -> Iterator[str]:
    name = f"{row.case.name} over {row.case.door}"
    for (status, kind), number in row.outcomes.items():
        if not row.case.is_right(Outcome(status, kind, "")):
            yield f"{name}: {number} answers are {status} {kind}; expected {row.case.status} {row.case.kinds}"
    if row.growth_mib > max_growth_mib:
        yield f"{name}: resident memory grew by {row.growth_mib:.1f} MiB"


def _run_case(server: Server, case: Case, number: int) -> Row:
    """A warm-up of the same, then the number over a few connections at once."""
    with contextlib.ExitStack() as stack:
        connections = [Connection(server.http_url, server.grpc_address) for _ in range(NUM_CONNECTIONS)]
        for connection in connections:
            stack.callback(connection.close)
        pool = stack.enter_context(ThreadPoolExecutor(NUM_CONNECTIONS))
        list(pool.map(_send, [case] * NUM_CONNECTIONS, connections, [-(-number // 20)] * NUM_CONNECTIONS))
        before_mib = _resident_mib(server, number)
        shares = [number // NUM_CONNECTIONS] * NUM_CONNECTIONS
        results = [each for part in pool.map(_send, [case] * NUM_CONNECTIONS, connections, shares) for each in part]
        after_mib = _resident_mib(server, number)
    outcomes = Counter((outcome.status, outcome.kind) for outcome, _ in results)
    median_ms = 1000 * median(seconds for _, seconds in results)
    return Row(case, len(results), outcomes, results[0][0].message, median_ms, before_mib, after_mib)


def _send(case: Case, connection: Connection, number: int) -> list[tuple[Outcome, float]]:
    results = []
    for _ in range(number):
        started = time.perf_counter()
        outcome = case.send(connection)
        results.append((outcome, time.perf_counter() - started))
    return results


def _resident_mib(server: Server, number: int) -> float:
    """Once what clients left behind has ended, some of it in the middle of decoding: when it falls no more.

    Few requests say nothing about memory, so nothing is waited for after them.
    """
    status = Path(f"/proc/{server.process.pid}/status")
    lowest, num_same = float("inf"), 0
    while num_same < (5 if number >= 100 else 1):
        time.sleep(0.05)
        resident = int(status.read_text().partition("VmRSS:")[2].split()[0]) / 1024
        lowest, num_same = (resident, 0) if resident < lowest - 0.1 else (lowest, num_same + 1)
    return lowest


@contextlib.contextmanager
def _good_requests(server: Server) -> Iterator[GoodRequests]:
    good, is_over = GoodRequests(), threading.Event()
    thread = threading.Thread(target=_send_good, args=(server, good, is_over))
    thread.start()
    try:
        yield good
    finally:
        is_over.set()
        thread.join()


def _send_good(server: Server, good: GoodRequests, is_over: threading.Event) -> None:
    """Each image over either door in turn; every answer must be the first one's."""
    images = [encode("JPEG", seed=seed) for seed in range(3)]
    with contextlib.closing(Client(server.grpc_address)) as client:
        expected = [client.classify(image).classes for image in images]
        connection = Connection(server.http_url, server.grpc_address)
        while not is_over.wait(GOOD_PAUSE_SECONDS):
            for image, classes in zip(images, expected, strict=True):
                started = time.perf_counter()
                try:
                    if len(good.seconds) % 2:
                        found = client.classify(image).classes
                    else:
                        answer = connection.http.post("/api/v1/classify", content=image).raise_for_status().json()
                        found = tuple(ScoredClass(**it) for it in answer["results"][0]["classes"])
                    if found != classes:
                        good.failures.append(f"a good request was answered {found}; expected {classes}")
                except Exception as error:
                    good.failures.append(f"a good request failed: {error!r}")
                good.seconds.append(time.perf_counter() - started)
        connection.close()


if __name__ == "__main__":
    main()
