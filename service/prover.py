"""Has a version proven by a process of its own, before this one loads it beside those that serve."""

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from cnnsvc.engines.choice import Trial
from cnnsvc.errors import BundleError, Fault
from cnnsvc.model import ModelOptions
from service.proof import LOWEST_PRIORITY, Proof, ProofTask, encode_task

_COMMAND: Final = (sys.executable, "-P", "-m", "service.proof")
TIMEOUT_SECONDS: Final = 300.0
IDLE_SECONDS: Final = 15.0
"""So long a proof gets none of the CPU that calls want, and all that they leave; a busy machine may leave nothing."""

_log = logging.getLogger("cnnsvc.prover")


async def prove(
    path: Path,
    options: ModelOptions,
    known: Sequence[Trial] = (),
    *,
    idle_seconds: float = IDLE_SECONDS,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> list[Trial]:
    """The trials of the version in models/<name>/<version>/, its engine chosen and proven.

    Raises BundleError with the reason where it must not be served.
    """
    task = encode_task(ProofTask(str(path), options, list(known)))
    try:
        return await _proven(path, task, idle_seconds, is_idle=True)
    except subprocess.TimeoutExpired:
        _log.info("%s is proven once more, with a share of the CPU: calls left too little", path)
    try:
        return await _proven(path, task, timeout_seconds, is_idle=False)
    except subprocess.TimeoutExpired:
        raise BundleError(f"{path} was not proven within {timeout_seconds:.0f} s", Fault.TIMEOUT) from None


async def _proven(path: Path, task: str, timeout_seconds: float, *, is_idle: bool) -> list[Trial]:
    """Raises TimeoutExpired, BundleError."""
    # Not asyncio's: uvloop forks, for which all memory is marked and gRPC stops its threads; this one is a vfork.
    process = subprocess.Popen(  # noqa: S603, ASYNC220  # our own program; to start it takes a millisecond
        [*_COMMAND, task],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # Ctrl-C is for the service, which ends this one by itself. A session of its own would be one to the scheduler
        # too: niceness counts only within one (sched(7), "autogroup"), and the proof would take half of the CPU.
        process_group=0,
    )
    try:
        _lower_priority(process.pid, is_idle=is_idle)
        output = await asyncio.to_thread(_output, process, timeout_seconds)
    finally:
        process.kill()  # it has ended already, unless the service stops
    return _trials(path, output, process.returncode)


def _lower_priority(pid: int, *, is_idle: bool) -> None:
    """From outside, and so before its first import: imports take half of its time.

    It may have ended already, and a sandbox may forbid it: then it is proven all the same.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, LOWEST_PRIORITY)
        if is_idle and sys.platform == "linux":
            os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))


def _output(process: subprocess.Popen[bytes], timeout_seconds: float) -> bytes:
    """Raises TimeoutExpired after its end."""
    with process:
        try:
            return process.communicate(timeout=timeout_seconds)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def _trials(path: Path, output: bytes, status: int) -> list[Trial]:
    try:
        proof = msgspec.json.decode(output, type=Proof)
    except msgspec.MsgspecError:
        how = f"status {status}" if status >= 0 else signal.Signals(-status).name
        raise BundleError(f"{path} ended the process that tried it, with {how}", Fault.CRASHED) from None
    if proof.fault:
        raise BundleError(proof.reason, proof.fault)
    return proof.trials
