"""SIGTERM under load, again and again: how many accepted requests are lost; prints a Markdown table.

    python -m bench.shutdown [--rounds 20] [--workers 1,2] [--pause-ms 0]

Each round starts a server and two processes of callers (bench.shutdown_load), HTTP and gRPC, ends the server while all
of them call, and waits for both. Ends with 1 where anything was lost or the server's status was not 0.
"""

import argparse
import contextlib
import json
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.bundles import write_bundle
from tests.e2e.server import Server, serving

_WARM_UP_SECONDS: Final = (1.5, 2.0)
"""Of load before the signal, at random in between."""
_GIVE_UP_SECONDS: Final = 90


@dataclass
class Outcome:
    """Sums over the rounds of one number of processes."""

    num_processes: int
    num_rounds: int = 0
    answered: Counter[str] = field(default_factory=Counter)
    """By http, grpc, stream."""
    num_answered_after: int = 0
    """Of all of them, after the signal."""
    num_refused: int = 0
    num_told: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    """From the signal to the end of the server."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--workers", default="1,2", help="numbers of processes, each measured")
    parser.add_argument("--pause-ms", type=int, default=0)
    arguments = parser.parse_args()
    outcomes = [run(int(number), arguments.rounds, arguments.pause_ms) for number in arguments.workers.split(",")]
    sys.stdout.write(table(outcomes))
    for outcome in outcomes:
        sys.stdout.writelines(f"- LOST {number}: {why}\n" for why, number in outcome.lost.items())
    sys.exit(1 if any(outcome.lost for outcome in outcomes) else 0)


def run(num_processes: int, num_rounds: int, pause_ms: int = 0) -> Outcome:
    outcome = Outcome(num_processes)
    with tempfile.TemporaryDirectory() as models_dir:
        write_bundle(Path(models_dir))
        words = ("--models-dir", models_dir, "--workers", num_processes, "--shutdown-pause-ms", pause_ms)
        until = " ready" if num_processes == 1 else f"all {num_processes} workers serve"
        for _ in range(num_rounds):
            with serving(*words, until=until) as server, _callers(server) as callers:
                time.sleep(random.uniform(*_WARM_UP_SECONDS))
                signalled = time.monotonic()
                server.process.send_signal(signal.SIGTERM)
                status = server.process.wait(timeout=_GIVE_UP_SECONDS)
                outcome.seconds.append(time.monotonic() - signalled)
                for caller in callers:
                    _add(outcome, json.loads(caller.communicate(timeout=_GIVE_UP_SECONDS)[0]), signalled)
            outcome.num_rounds += 1
            if status:
                outcome.lost[f"exit status {status}"] += 1
    return outcome


def table(outcomes: list[Outcome]) -> str:
    lines = [
        "| processes | rounds | answered over HTTP | gRPC | stream | after SIGTERM | told to send again"
        " | refused at connect | lost | s to the end, median / longest |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {each.num_processes} | {each.num_rounds} | {each.answered['http']:,} | {each.answered['grpc']:,} |"
        f" {each.answered['stream']:,} | {each.num_answered_after:,} | {each.num_told} | {each.num_refused} |"
        f" {each.lost.total()} | {statistics.median(each.seconds):.2f} / {max(each.seconds):.2f} |"
        for each in outcomes
    ]
    return "\n".join(lines) + "\n"


@contextlib.contextmanager
def _callers(server: Server) -> Iterator[list[subprocess.Popen[str]]]:
    addresses = {"http": server.http_url.removeprefix("http://"), "grpc": server.grpc_address}
    command = [sys.executable, "-m", "bench.shutdown_load"]
    callers = [
        subprocess.Popen([*command, which, address], stdout=subprocess.PIPE, text=True)
        for which, address in addresses.items()
    ]
    try:
        yield callers
    finally:
        for caller in callers:
            caller.kill()
            caller.wait()
            assert caller.stdout is not None
            caller.stdout.close()


def _add(outcome: Outcome, tally: dict[str, Any], signalled: float) -> None:
    which = "grpc" if tally["streamed_at"] else "http"
    outcome.answered[which] += len(tally["answered_at"])
    outcome.answered["stream"] += len(tally["streamed_at"])
    outcome.num_answered_after += sum(at > signalled for at in tally["answered_at"] + tally["streamed_at"])
    outcome.num_refused += tally["num_refused"]
    outcome.num_told += tally["num_told"]
    outcome.lost.update(tally["lost"])


if __name__ == "__main__":
    main()
