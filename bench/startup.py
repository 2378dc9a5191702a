"""Time from process start to the first right answer, and resident memory, of `cnnsvc serve`; prints Markdown.

    python -m bench.startup COMMAND BUNDLE IMAGE [--rounds 7]

COMMAND is the cnnsvc of the installation to measure, such as one that holds the base install alone. Each round starts
it twice: with an empty folder for what it remembers, so that it times every engine, and with what that start left.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

NUM_REQUESTS = (2000, 10_000)
GIVE_UP_SECONDS = 60


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("command")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    image = arguments.image.read_bytes()
    expected = _best_class(arguments.command, arguments.bundle, arguments.image)
    cold, cached = [], []
    for _ in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as cache_dir:
            words = [arguments.command, "serve", "--bundle", str(arguments.bundle), "--cache-dir", cache_dir]
            cold.append(_seconds_to_answer(words, image, expected))
            cached.append(_seconds_to_answer(words, image, expected))
    sizes = _resident_mib_after(words, image, expected)
    sys.stdout.write(f"- process start to first right answer, engine choice cached: {_described(cached)}\n")
    sys.stdout.write(f"- the same, every engine timed first: {_described(cold)}\n")
    sys.stdout.writelines(f"- resident after {number:,} requests: {mib:.0f} MiB\n" for number, mib in sizes.items())


def _described(seconds: list[float]) -> str:
    return f"median {statistics.median(seconds):.2f} s of {len(seconds)} ({min(seconds):.2f} to {max(seconds):.2f})"


def _best_class(command: str, bundle: Path, image: Path) -> str:
    words = [command, "classify", str(image), "--bundle", str(bundle), "--json"]
    record = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, cwd="/").stdout)
    return str(record["classes"][0]["name"])


@contextlib.contextmanager
def _answering(words: list[str], image: bytes, expected: str) -> Iterator[tuple[int, httpx.Client, float]]:
    """The server's process, a client of it, and the seconds it took to the first right answer."""
    started = time.monotonic()
    ports = ["--http-port", "18501", "--grpc-port", "18500"]
    server = subprocess.Popen([*words, *ports], cwd="/", stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url="http://127.0.0.1:18501", timeout=30) as client:
            while (answer := _answer(client, image)) != expected:
                assert answer is None, f"{answer} instead of {expected}"
                assert time.monotonic() - started < GIVE_UP_SECONDS
                time.sleep(0.002)
            yield server.pid, client, time.monotonic() - started
    finally:
        server.terminate()
        server.wait(timeout=60)


def _seconds_to_answer(words: list[str], image: bytes, expected: str) -> float:
    with _answering(words, image, expected) as (_, _, seconds):
        return seconds


def _resident_mib_after(words: list[str], image: bytes, expected: str) -> dict[int, float]:
    """By the number of requests answered so far."""
    sizes = {}
    with _answering(words, image, expected) as (pid, client, _):
        sizes[1], num_sent = _resident_mib(pid), 1
        for number in NUM_REQUESTS:
            for _ in range(number - num_sent):
                client.post("/api/v1/classify", content=image).raise_for_status()
            sizes[number], num_sent = _resident_mib(pid), number
    return sizes


def _answer(client: httpx.Client, image: bytes) -> str | None:
    """The best class; None while the server is not there or not ready."""
    try:
        response = client.post("/api/v1/classify", content=image)
    except httpx.ConnectError:
        return None
    if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        return None
    return str(response.raise_for_status().json()["results"][0]["classes"][0]["name"])


def _resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
