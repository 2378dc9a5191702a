"""Usable CPUs come from the cgroup quota, in both of its formats."""

import os
from pathlib import Path

import pytest

from cnnsvc.engines.threads import available_cpus

_AFFINITY = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("100000 100000", 1),
        ("50000 100000", 1),
        ("110000 100000", min(2, _AFFINITY)),
        ("max 100000", _AFFINITY),
        ("?", _AFFINITY),
    ],
)
def test_quota_of_cgroup_2(tmp_path: Path, content: str, expected: int) -> None:
    """A quota is rounded up and never exceeds the affinity; none, or an unreadable one, leaves the affinity."""
    (tmp_path / "cpu.max").write_text(content)
    assert available_cpus(tmp_path) == expected


@pytest.mark.parametrize(("quota", "expected"), [("100000", 1), ("-1", _AFFINITY)])
def test_quota_of_cgroup_1(tmp_path: Path, quota: str, expected: int) -> None:
    """The older format is read too; -1 means no quota."""
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000")
    assert available_cpus(tmp_path) == expected


def test_without_cgroups_affinity_counts(tmp_path: Path) -> None:
    """No cgroup files mean the affinity alone."""
    assert available_cpus(tmp_path) == _AFFINITY
