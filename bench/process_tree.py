"""CPU time and memory of a server and all that it started, from /proc; and its orderly end."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_GRACE_SECONDS: Final = 15


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    session: int
    cpu_ticks: int
    """Its own, user and system, and those of its children that have ended and been waited for."""


def parse_stat(text: str) -> Process:
    """One line of /proc/PID/stat; the name in it may hold spaces and parentheses."""
    pid, _, rest = text.partition(" (")
    fields = rest.rpartition(") ")[2].split()  # field 3 of proc(5) is fields[0]
    return Process(int(pid), int(fields[1]), int(fields[3]), sum(map(int, fields[11:15])))


def members(processes: Iterable[Process], root: int) -> list[Process]:
    """The root, its descendants, and who else is in the session that the root began."""
    processes = list(processes)
    found = {process.pid for process in processes if process.pid == root or process.session == root}
    while more := {process.pid for process in processes if process.parent in found} - found:
        found |= more
    return [process for process in processes if process.pid in found]


def cpu_seconds(root: int) -> float:
    return sum(process.cpu_ticks for process in members(_all_processes(), root)) / _TICKS_PER_SECOND


def machine_cpu_seconds() -> float:
    """Of all programs and of the kernel, and what a hypervisor took."""
    user, nice, system, _idle, _iowait, *interrupts_and_stolen = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + sum(interrupts_and_stolen)) / _TICKS_PER_SECOND


def memory_mib(root: int) -> float:
    """Resident, with pages that several processes share counted once (PSS)."""
    return sum(_pss_kib(process.pid) for process in members(_all_processes(), root)) / 1024


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to a server that was started in a session of its own, SIGKILL to what is left of it after the grace."""
    tree = members(_all_processes(), process.pid)
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    deadline = time.monotonic() + _GRACE_SECONDS
    while time.monotonic() < deadline and (process.poll() is None or _still_running(tree)):
        time.sleep(0.05)
    for member in _still_running(members(_all_processes(), process.pid) + tree):
        with contextlib.suppress(ProcessLookupError):
            os.kill(member.pid, signal.SIGKILL)
    process.wait(timeout=_GRACE_SECONDS)


def _still_running(tree: list[Process]) -> list[Process]:
    """Those whose number still belongs to the process that had it, told by its session."""
    now = {process.pid: process for process in _all_processes()}
    return [process for process in tree if process.pid in now and now[process.pid].session == process.session]


def _all_processes() -> list[Process]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # ended meanwhile
            found.append(parse_stat(stat.read_text()))
    return found


def _pss_kib(pid: int) -> int:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:  # ended meanwhile
        return 0
    return sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
