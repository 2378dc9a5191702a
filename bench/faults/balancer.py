"""A real HAProxy with deploy/haproxy/haproxy.cfg, its addresses replaced by those of servers on this machine."""

import contextlib
import re
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tests.e2e.server import Server

CONFIGURATION: Final = Path(__file__).parents[2] / "deploy" / "haproxy" / "haproxy.cfg"
_REPLICA: Final = re.compile(r"^( +server (\w+) )\S+:(850[01])\b(.*)$", re.MULTILINE)
# Frontend, backend and server, five times, status, bytes, two cookies, how it ended, four counts and the retries.
_LOGGED: Final = re.compile(r"\] (\w+) \w+/(\S+) [-+\d/]+ (-?\d+) \S+ \S+ \S+ (\S{4}) [\d/]+/(\+?\d+) ")
_NORMAL_END: Final = "----"


@dataclass(frozen=True)
class Balancer:
    process: subprocess.Popen[str]
    http_url: str
    grpc_address: str
    log: Path


@dataclass(frozen=True)
class Logged:
    """One request as HAProxy tells of it."""

    door: str
    """http or grpc."""
    replica: str
    """The last one that it was sent to."""
    status: int
    is_whole: bool
    """Neither side broke it off."""
    was_sent_again: bool


def configure(text: str, listeners: dict[str, str], replicas: dict[str, Server]) -> str:
    """The configuration with other addresses: of its own doors by port, and of the replicas by name."""

    def local(found: re.Match[str]) -> str:
        head, name, port, options = found.groups()
        replica = replicas[name]
        http_port = str(urlsplit(replica.http_url).port)
        address = urlsplit(replica.http_url).netloc if port == "8501" else replica.grpc_address
        return head + address + options.replace("port 8501", f"port {http_port}")

    for port, address in listeners.items():
        text = re.sub(rf"\bbind :{port}\b", f"bind {address}", text)
    return _REPLICA.sub(local, text)


@contextlib.contextmanager
def balancing(haproxy: str, replicas: dict[str, Server], folder: Path) -> Iterator[Balancer]:
    """Connections are taken at once; it is ended on the way out."""
    with contextlib.ExitStack() as stack:
        doors = {port: stack.enter_context(_listening()) for port in ("8500", "8501")}
        listeners = {port: f"fd@{door.fileno()}" for port, door in doors.items()}
        configuration, log = folder / "haproxy.cfg", folder / "haproxy.log"
        configuration.write_text(configure(CONFIGURATION.read_text(), listeners, replicas))
        process = subprocess.Popen(
            [haproxy, "-db", "-f", str(configuration)],
            stdout=stack.enter_context(log.open("w")),
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=[door.fileno() for door in doors.values()],
        )
        grpc, http = (f"127.0.0.1:{door.getsockname()[1]}" for door in doors.values())
        try:
            yield Balancer(process, f"http://{http}", grpc, log)
        finally:
            process.terminate()
            process.wait(timeout=30)


def read_log(lines: Sequence[str]) -> list[Logged]:
    """The requests among the lines; the others tell of replicas that came or went."""
    found = (_LOGGED.search(line) for line in lines)
    return [Logged(each[1], each[2], int(each[3]), each[4] == _NORMAL_END, each[5] != "0") for each in found if each]


def _listening() -> socket.socket:
    """Before HAProxy does, so that nobody has to wait for it and the port is nobody else's."""
    return socket.create_server(("127.0.0.1", 0), backlog=256)
