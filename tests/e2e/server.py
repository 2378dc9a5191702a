"""A real `cnnsvc serve` process for tests, on ports that the system chooses."""

import contextlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_ADDRESSES = re.compile(r"gRPC listens on (\S+), HTTP on ([^\s,]+)(?:, metrics on (\S+))?")
CNNSVC = Path(sys.executable).with_name("cnnsvc")


@dataclass
class Server:
    process: subprocess.Popen[str]
    grpc_address: str = ""
    http_url: str = ""
    metrics_url: str = ""
    """"" where the metrics have no door of their own."""
    log: list[str] = field(default_factory=list)


@contextlib.contextmanager
def serving(
    *arguments: object, command: Sequence[str | Path] = (CNNSVC,), until: str = " ready", cwd: Path | None = None
) -> Iterator[Server]:
    """The server once a line of its log ends with `until`; ended on the way out if it still runs."""
    words = [*map(str, command), "serve", "--grpc-port", "0", "--http-port", "0", *map(str, arguments)]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=cwd)
    server = Server(process)
    assert process.stderr is not None
    reader: threading.Thread | None = None
    try:
        for line in process.stderr:
            server.log.append(line)
            message = _message(line)
            if found := _ADDRESSES.search(message):
                server.grpc_address, server.http_url, server.metrics_url = found.groups(default="")
            if message.endswith(until):
                break
        else:
            raise AssertionError(f"ended with {process.wait()}: {''.join(server.log)}")
        reader = threading.Thread(target=server.log.extend, args=(process.stderr,))
        reader.start()
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(timeout=60)
        if reader:
            reader.join()
        process.stderr.close()


def _message(line: str) -> str:
    """What the line says, after a space at least, in either log format."""
    return f" {json.loads(line)['message']}" if line.startswith("{") else line.rstrip()
