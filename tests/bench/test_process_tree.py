"""Whose CPU time is counted, and which figures of /proc it is."""

import os

from bench.process_tree import Process, cpu_seconds, machine_cpu_seconds, members, memory_mib, parse_stat

_STAT = (
    "4242 (a (odd) name) S 41 4242 40 0 -1 4194304 100 200 0 0 11 22 33 44 20 0 1 0 500 1000 100 18446744073709551615"
)


def test_stat_is_read() -> None:
    """User and system time, and those of children that ended, are added; a name may hold parentheses."""
    assert parse_stat(_STAT) == Process(pid=4242, parent=41, session=40, cpu_ticks=11 + 22 + 33 + 44)


def test_members() -> None:
    """Descendants count, in another session too, and orphans of the session; strangers do not."""
    root, child, grandchild = Process(10, 1, 10, 0), Process(11, 10, 10, 0), Process(12, 11, 12, 0)
    orphan, stranger = Process(13, 1, 10, 0), Process(14, 1, 1, 0)
    assert members([stranger, grandchild, orphan, child, root], 10) == [grandchild, orphan, child, root]


def test_own_process() -> None:
    """The running process has used CPU, less than the whole machine, and holds memory."""
    assert 0 < cpu_seconds(os.getpid()) < machine_cpu_seconds()
    assert memory_mib(os.getpid()) > 1
