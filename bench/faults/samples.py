"""What a server holds, sampled by the clock: resident memory and file descriptors, kept and written to a CSV file."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import IO, Final

import httpx

from bench.faults.watch import usage
from tests.e2e.server import Server

_MOST_FAILURES: Final = 10


@dataclass(frozen=True)
class Sample:
    seconds: float
    """From the beginning."""
    resident_mib: float
    num_descriptors: int


@contextlib.contextmanager
def sampling(server: Server, every_seconds: float, csv: Path | None) -> Iterator[tuple[list[Sample], list[str]]]:
    """Samples, and what was wrong with /metrics, which is read with each; both lists are final on the way out."""
    samples: list[Sample] = []
    failures: list[str] = []
    is_over = threading.Event()
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(csv.open("w", buffering=1)) if csv else None
        client = stack.enter_context(httpx.Client(base_url=server.http_url, timeout=10, trust_env=False))
        _write(file, ",".join(field.name for field in fields(Sample)))

        def sample() -> None:
            started = time.perf_counter()
            while server.process.poll() is None:
                now = usage(server.process.pid)
                taken = Sample(time.perf_counter() - started, now.mib, now.num_descriptors)
                samples.append(taken)
                _write(file, ",".join(f"{value:.3f}".removesuffix(".000") for value in astuple(taken)))
                if (failure := _scrape(client)) and len(failures) < _MOST_FAILURES:
                    failures.append(failure)
                if is_over.wait(every_seconds):
                    return

        thread = threading.Thread(target=sample, name="samples")
        thread.start()
        stack.callback(thread.join)
        stack.callback(is_over.set)
        yield samples, failures


def _scrape(client: httpx.Client) -> str:
    try:
        response = client.get("/metrics")
    except httpx.TransportError as error:
        return f"/metrics could not be read: {error!r}"
    return "" if response.status_code == httpx.codes.OK else f"/metrics answered {response.status_code}"


def _write(file: IO[str] | None, line: str) -> None:
    if file:
        file.write(f"{line}\n")
