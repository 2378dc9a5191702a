"""Programs run where there is no network but the loopback, each try to reach beyond it noted.

strace writes down every call that can name a peer, so a try is found though it fails, as it must in there.
"""

import ipaddress
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.deploy.programs import require

ROOT: Final = Path(__file__).parent.parent

_CALLS: Final = "connect,sendto,sendmsg,sendmmsg"
_CALL: Final = re.compile(r"\d+<(?P<process>.*?)> (?P<call>\w+)\(")
_NO_CALL: Final = re.compile(r"\d+<.*?> (<\.\.\. |\+\+\+ |--- |\?\?\?\()")
"""The end of a call that was interrupted, whose beginning has the address; the end of a process; a signal; a thread
that was ended with its process at the entry of a call, before that could do anything."""
_ADDRESS: Final = re.compile(r"\{sa_family=(?P<family>\w+)(?P<rest>[^}]*)\}")
_HOST: Final = re.compile(r'(?:inet_addr\(|inet_pton\(AF_INET6, )"(?P<host>[^"]+)"')
_PORT: Final = re.compile(r"sin6?_port=htons\((?P<port>\d+)\)")
_DNS_PORT: Final = 53
_INSIDE: Final = ("AF_NETLINK", "AF_UNSPEC")
"""The kernel itself, and nobody."""
_RESOLVERS: Final = ("/nscd/", "/systemd/resolve/", "/avahi-daemon/")
"""In the paths of sockets where the C library has others look up names: who asks there wants to reach a host."""

_HIDES: Final = re.compile(r"CI|ORT_DISABLE_TELEMETRY|XDG_.*|CNNSVC_.*|.*_proxy", re.IGNORECASE)
"""Variables that silence a runtime without our doing, lead away from HOME, or make the outside look like inside."""


@dataclass(frozen=True)
class Attempt:
    """One try to reach something else than this machine."""

    process: str
    call: str
    address: str


@dataclass(frozen=True)
class Sealed:
    """What became of a program."""

    status: int
    output: str
    """Standard output and error."""
    attempts: list[Attempt]
    in_home: list[Path]
    """Files that it left below HOME, which was empty, relative to it."""


def run_sealed(command: Sequence[str | Path], folder: Path, timeout_seconds: float = 240) -> Sealed:
    """Runs a program, and all that it starts, without a way out; skips the test where that cannot be done."""
    home, log = folder / "home", folder / "strace.log"
    home.mkdir()
    seal = _seal()
    trace = ["strace", "--follow-forks", "--seccomp-bpf", "--decode-pids=comm", "--string-limit=0"]
    environment = {name: value for name, value in os.environ.items() if not _HIDES.fullmatch(name)}
    finished = subprocess.run(
        [*seal, *trace, f"--trace={_CALLS}", f"--output={log}", "--", *map(str, command)],
        cwd=ROOT,
        env=environment | {"HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=timeout_seconds,
    )
    in_home = [path.relative_to(home) for path in sorted(home.rglob("*")) if not path.is_dir()]
    return Sealed(finished.returncode, finished.stdout, list(read_attempts(log.read_text())), in_home)


def _seal() -> list[str]:
    """What to write before a command: as root, or as root of a user namespace."""
    strace, unshare, ip = require("strace", "strace"), require("unshare", "util-linux"), require("ip", "iproute2")
    for alone in ([unshare, "--net"], [unshare, "--user", "--map-root-user", "--net"]):
        seal = [*alone, "sh", "-c", f'{ip} link set lo up && exec "$@"', "sh"]
        tried = subprocess.run([*seal, strace, "--output=/dev/null", "true"], capture_output=True, check=False)
        if tried.returncode == 0:
            return seal
    pytest.skip("a network without a way out cannot be made here: it needs root or user namespaces, and ptrace")


def read_attempts(log: str) -> Iterator[Attempt]:
    """Those in what strace wrote. Raises ValueError for a line that cannot be understood: it might be one."""
    for line in log.splitlines():
        if call := _CALL.match(line):
            for address in _ADDRESS.finditer(line):
                if beyond := _beyond(address["family"], address["rest"]):
                    yield Attempt(call["process"], call["call"], beyond)
        elif not _NO_CALL.match(line):
            raise ValueError(f"strace wrote {line!r}")


def _beyond(family: str, rest: str) -> str:
    """The address in words; "" for one of this machine."""
    if family == "AF_UNIX":
        return rest.lstrip(", ") if any(resolver in rest for resolver in _RESOLVERS) else ""
    if family in _INSIDE:
        return ""
    host, port = _HOST.search(rest), _PORT.search(rest)
    if host is None or port is None:
        return family + rest
    if _is_loopback(host["host"]) and int(port["port"]) != _DNS_PORT:
        return ""
    return f"{host['host']} port {port['port']}"


def _is_loopback(host: str) -> bool:
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_loopback
