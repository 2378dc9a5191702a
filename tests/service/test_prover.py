"""A version is proven in a process of its own, whatever it does to that."""

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest

from cnnsvc.errors import BundleError, Fault
from cnnsvc.model import ModelOptions
from service.proof import LOWEST_PRIORITY
from service.prover import prove
from tests.bundles import write_bundle
from tests.service.serving import falsify_golden_answers


@pytest.mark.slow
async def test_a_good_version_comes_back_with_its_trials(tmp_path: Path) -> None:
    """The trials say which engine is to answer; those that are known already are not timed again."""
    path = write_bundle(tmp_path)
    trials = await prove(path, ModelOptions(num_streams=2))
    assert len([trial for trial in trials if trial.is_chosen]) == 1
    assert max(trial.images_per_second for trial in trials) > 0
    assert await prove(write_bundle(tmp_path, seed=1), ModelOptions(num_streams=2), trials) == trials


@pytest.mark.slow
async def test_a_wrong_version_comes_back_with_its_fault(tmp_path: Path) -> None:
    """Reason and fault are those of the check that failed."""
    path = write_bundle(tmp_path)
    falsify_golden_answers(path)
    with pytest.raises(BundleError, match="golden images wrong") as refused:
        await prove(path, ModelOptions("openvino"))
    assert refused.value.fault is Fault.GOLDEN


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such scheduling")
async def test_it_takes_only_what_others_leave(tmp_path: Path) -> None:
    """It is scheduled as idle, in the session of the service, without which that would count for nothing."""
    path = write_bundle(tmp_path)
    _block(path)
    task = asyncio.create_task(prove(path, ModelOptions()))
    pid = await _child()
    assert os.sched_getscheduler(pid) == os.SCHED_IDLE
    assert os.getpriority(os.PRIO_PROCESS, pid) == LOWEST_PRIORITY
    assert os.getsid(pid) == os.getsid(0)
    assert os.getpgid(pid) == pid  # Ctrl-C does not reach it
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_machine_without_idle_time_proves_with_a_share(tmp_path: Path) -> None:
    """Where calls leave too little CPU a version goes live all the same."""
    trials = await prove(write_bundle(tmp_path), ModelOptions("openvino"), idle_seconds=0.01)
    assert [trial.is_chosen for trial in trials].count(True) == 1


@pytest.mark.slow
async def test_one_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """Past its time the process is killed and the version refused."""
    path = write_bundle(tmp_path)
    _block(path)
    started = time.monotonic()
    with pytest.raises(BundleError, match="was not proven within 1 s") as refused:
        await prove(path, ModelOptions(), idle_seconds=0.5, timeout_seconds=1.0)
    assert refused.value.fault is Fault.TIMEOUT
    assert time.monotonic() - started < 30


async def test_one_that_ends_its_process_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash of the engine is a fault of the version, and none of the service."""
    (tmp_path / "sitecustomize.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(BundleError, match="ended the process that tried it, with SIGSEGV") as refused:
        await prove(write_bundle(tmp_path / "models"), ModelOptions())
    assert refused.value.fault is Fault.CRASHED


async def test_whoever_waits_may_go(tmp_path: Path) -> None:
    """Cancelled, the proof ends its process at once."""
    path = write_bundle(tmp_path)
    _block(path)
    task = asyncio.create_task(prove(path, ModelOptions()))
    await asyncio.sleep(0.5)
    task.cancel()
    started = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - started < 5


def _block(path: Path) -> None:
    """Whoever reads its manifest waits for ever."""
    (path / "manifest.json").unlink()
    os.mkfifo(path / "manifest.json")


async def _child() -> int:
    """The process of this one's that has got as far as its own code."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if found := _proofs():
            return found[0]
        await asyncio.sleep(0.01)
    raise AssertionError("no proof was started")


def _proofs() -> list[int]:
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in children if b"service.proof" in Path(f"/proc/{pid}/cmdline").read_bytes()]
