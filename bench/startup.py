"""Time from process start to the first right answer, and resident memory, of `cnnsvc serve`; prints Markdown.

    python -m bench.startup COMMAND BUNDLE IMAGE [--rounds 7]

COMMAND is the cnnsvc of the installation to measure, such as one that holds the base install alone.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import httpx

NUM_REQUESTS = 2000
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
    rounds = [_measure(arguments.command, arguments.bundle, image, expected) for _ in range(arguments.rounds)]
    seconds, first_mib, later_mib = (statistics.median(column) for column in zip(*rounds, strict=True))
    sys.stdout.write(
        f"- process start to first right answer: median {seconds:.2f} s of {len(rounds)}"
        f" ({min(row[0] for row in rounds):.2f} to {max(row[0] for row in rounds):.2f})\n"
        f"- resident: {first_mib:.0f} MiB after the first answer, {later_mib:.0f} MiB after {NUM_REQUESTS} more\n"
    )


def _best_class(command: str, bundle: Path, image: Path) -> str:
    words = [command, "classify", str(image), "--bundle", str(bundle), "--json"]
    record = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, cwd="/").stdout)
    return str(record["classes"][0]["name"])


def _measure(command: str, bundle: Path, image: bytes, expected: str) -> tuple[float, float, float]:
    """Seconds to the first right answer; MiB resident then, and after NUM_REQUESTS more."""
    words = [command, "serve", "--bundle", str(bundle), "--http-port", "18501", "--grpc-port", "18500"]
    started = time.monotonic()
    server = subprocess.Popen(words, cwd="/", stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url="http://127.0.0.1:18501", timeout=30) as client:
            while (answer := _answer(client, image)) != expected:
                assert answer is None, f"{answer} instead of {expected}"
                assert time.monotonic() - started < GIVE_UP_SECONDS
                time.sleep(0.002)
            seconds = time.monotonic() - started
            first_mib = _resident_mib(server.pid)
            for _ in range(NUM_REQUESTS):
                client.post("/api/v1/classify", content=image).raise_for_status()
            return seconds, first_mib, _resident_mib(server.pid)
    finally:
        server.terminate()
        server.wait(timeout=60)


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
