"""Load on one server for a few seconds with wrk, h2load or our own stream client, and what each says of it."""

import json
import re
import resource
import shutil
import statistics
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bench.dialects import Dialect
from bench.environments import REPOSITORY
from cnnsvc.pb import classifier_pb2 as pb

_TIMEOUT_SECONDS: Final = 30
"""Of one request."""
_MOST_SECONDS: Final = 180
"""Of one run of a load generator, however it behaves."""
_GRPC_METHOD: Final = "/cnnsvc.v1.Classifier/Classify"
_LEAST_SHARE: Final = 0.9
"""Of the bytes that as many right answers would have; a failed call has none, and a number's length varies."""


class LoadError(Exception):
    """Requests failed, or the generator did."""


@dataclass(frozen=True)
class Load:
    num_images: int
    seconds: float
    p50_ms: float
    p99_ms: float
    client_cpu_seconds: float = 0
    server_cpu_seconds: float | None = None
    """Where no process but the generator's own is the server."""

    @property
    def images_per_second(self) -> float:
        return self.num_images / self.seconds


def require_programs() -> None:
    """Raises SystemExit with what to install."""
    packages = {"wrk": "wrk", "h2load": "nghttp2-client"}
    if absent := [package for program, package in packages.items() if not shutil.which(program)]:
        raise SystemExit(f"absent: {', '.join(absent)}; install with: apt-get install {' '.join(absent)}")


def http_load(
    port: int, dialect: Dialect, photographs: Sequence[bytes], concurrency: int, seconds: float, folder: Path
) -> Load:
    """wrk in one thread, posting the photographs in turn over that many connections. Raises LoadError."""
    script = write_wrk_script(folder, dialect, photographs)
    words = ["wrk", "--threads", "1", "--connections", str(concurrency), "--duration", f"{round(seconds)}s",
             "--timeout", f"{_TIMEOUT_SECONDS}s", "--script", str(script), f"http://127.0.0.1:{port}"]  # fmt: skip
    return _run(words, parse_wrk)


def grpc_load(port: int, photographs: Sequence[bytes], concurrency: int, seconds: float, folder: Path) -> Load:
    """h2load in one thread, sending the photograph of median length over that many connections. Raises LoadError."""
    body, log = folder / "body", folder / "h2load.log"
    body.write_bytes(grpc_frame(sorted(photographs, key=len)[len(photographs) // 2]))
    log.unlink(missing_ok=True)  # it appends
    words = ["h2load", "--threads=1", f"--clients={concurrency}", "--max-concurrent-streams=1",
             f"--duration={round(seconds)}", f"--data={body}", "--header=content-type: application/grpc",
             "--header=te: trailers", f"--log-file={log}", f"http://127.0.0.1:{port}{_GRPC_METHOD}"]  # fmt: skip
    least_bytes = _LEAST_SHARE * _answer_bytes(port, body)
    return _run(words, lambda output: parse_h2load(output, log.read_text(), least_bytes))


def _answer_bytes(port: int, body: Path) -> int:
    """Of the answer to one call. Raises LoadError."""
    words = ["h2load", "--requests=1", "--clients=1", f"--data={body}", "--header=content-type: application/grpc",
             "--header=te: trailers", f"http://127.0.0.1:{port}{_GRPC_METHOD}"]  # fmt: skip
    return data_bytes(_output(words))


def stream_load(port: int, photographs: Sequence[bytes], concurrency: int, seconds: float, folder: Path) -> Load:
    """One gRPC stream with that many images unanswered. Raises LoadError."""
    words = [sys.executable, "-m", "bench.stream_client", str(port), str(concurrency), str(seconds)]
    return _run([*words, *_files(folder, photographs)], parse_own)


def loop_load(
    bundle: Path, artifact: str, photographs: Sequence[bytes], num_threads: int, seconds: float, folder: Path
) -> Load:
    """No server: decoding and inference in that many threads. Raises LoadError."""
    words = [sys.executable, "-m", "bench.raw", str(bundle), artifact, str(num_threads), str(seconds)]
    return _run([*words, *_files(folder, photographs)], parse_own)


def grpc_frame(photograph: bytes) -> bytes:
    """A request to Classify as it stands in the body: not compressed, its length, the message."""
    message = pb.ClassifyRequest(images=[photograph]).SerializeToString()
    return struct.pack(">BI", 0, len(message)) + message


def write_wrk_script(folder: Path, dialect: Dialect, photographs: Sequence[bytes]) -> Path:
    requests = [dialect.request(photograph) for photograph in photographs]
    files = _files(folder, [request.body for request in requests])
    lines = ["local requests, turn = {}, 0", "function init()"]
    for file, request in zip(files, requests, strict=True):
        headers = ", ".join(f'["{name}"] = "{value}"' for name, value in request.headers.items())
        lines.append(f'  local file = io.open("{file}", "rb")')
        lines.append(f'  table.insert(requests, wrk.format("POST", "{dialect.path}", {{{headers}}}, file:read("*a")))')
        lines.append("  file:close()")
    script = folder / "post.lua"
    script.write_text("\n".join([*lines, "end", _WRK_SCRIPT]))
    return script


_WRK_SCRIPT: Final = """
function request()
  turn = turn % #requests + 1
  return requests[turn]
end
function done(summary, latency)
  local errors, sum = summary.errors, 0
  for _, kind in ipairs({"connect", "read", "write", "status", "timeout"}) do sum = sum + errors[kind] end
  io.write(string.format('\\nRESULT {"requests": %d, "microseconds": %d, "errors": %d, "p50": %d, "p99": %d}\\n',
    summary.requests, summary.duration, sum, latency:percentile(50), latency:percentile(99)))
end
"""


def parse_wrk(output: str) -> Load:
    """The line that our script writes. Raises LoadError."""
    found = re.search(r"^RESULT (.*)$", output, re.MULTILINE)
    if not found:
        raise LoadError(f"wrk gave no result: {output[-500:]}")
    result = json.loads(found[1])
    if result["errors"] or not result["requests"]:
        raise LoadError(f"{result['errors']} of {result['requests']} requests failed: {output[-500:]}")
    return Load(result["requests"], result["microseconds"] / 1e6, result["p50"] / 1e3, result["p99"] / 1e3)


def data_bytes(output: str) -> int:
    """Of all answers, from h2load's summary. Raises LoadError where there are none."""
    data = re.search(r"\((\d+)\) data$", output, re.MULTILINE)
    if not data or not int(data[1]):
        raise LoadError(f"h2load got no answer: {output[-500:]}")
    return int(data[1])


def parse_h2load(output: str, log: str, least_bytes: float) -> Load:
    """Its summary, and its log of one line a request: start, status, microseconds. Raises LoadError.

    `least_bytes` are those of an answer: h2load does not read the trailers, where gRPC has its status, but a call that
    failed has no bytes.
    """
    seconds = re.search(r"^finished in ([\d.]+)(m?s),", output, re.MULTILINE)
    counts = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", output)
    if not seconds or not counts:
        raise LoadError(f"h2load gave no result: {output[-500:]}")
    done, succeeded, *failures = map(int, counts.groups())
    if not done or any(failures) or done != succeeded or data_bytes(output) < done * least_bytes:
        raise LoadError(f"calls failed: {output[-500:]}")
    durations_ms = [int(line.split("\t")[2]) / 1e3 for line in log.splitlines()]
    p50, p99 = percentiles(without_omission(durations_ms))
    return Load(done, float(seconds[1]) / (1000 if seconds[2] == "ms" else 1), p50, p99)


def parse_own(output: str) -> Load:
    """What bench.stream_client and bench.raw write."""
    result = json.loads(output.splitlines()[-1])
    return Load(**result)


def without_omission(durations_ms: Sequence[float]) -> list[float]:
    """As wrk does: a duration above twice the usual also counts for the requests that it kept from being sent.

    The usual is the mean interval of one connection. So the percentiles of wrk and of h2load can be compared.
    """
    interval = sum(durations_ms) / len(durations_ms)
    corrected = list(durations_ms)
    for duration in durations_ms:
        while duration > 2 * interval:
            duration -= interval
            corrected.append(duration)
    return corrected


def percentiles(durations_ms: Sequence[float]) -> tuple[float, float]:
    """The median and the 99th."""
    if len(durations_ms) == 1:
        return durations_ms[0], durations_ms[0]
    return statistics.median(durations_ms), statistics.quantiles(durations_ms, n=100, method="inclusive")[98]


def _run(words: list[str], parse: Callable[[str], Load]) -> Load:
    before = _children_cpu_seconds()
    output = _output(words)
    return replace(parse(output), client_cpu_seconds=_children_cpu_seconds() - before)


def _output(words: list[str]) -> str:
    """Raises LoadError where the program fails."""
    try:
        run = subprocess.run(words, capture_output=True, text=True, timeout=_MOST_SECONDS, cwd=REPOSITORY)
    except subprocess.TimeoutExpired:
        raise LoadError(f"{words[0]} did not end in {_MOST_SECONDS} s") from None
    if run.returncode != 0:
        raise LoadError(f"{' '.join(words[:3])} ended with {run.returncode}: {run.stderr[-500:]}{run.stdout[-500:]}")
    return run.stdout


def _children_cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _files(folder: Path, contents: Sequence[bytes]) -> list[str]:
    files = [folder / f"{index:03}" for index in range(len(contents))]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    return [str(file) for file in files]
