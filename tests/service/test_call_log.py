"""Which calls get a line in the log, at which level, and how many."""

import logging

import pytest

from cnnsvc.errors import Kind
from service.call_log import MAX_LINES_PER_SECOND, CallLog


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("kind", Kind)
def test_each_failed_call_is_a_line(kind: Kind, caplog: pytest.LogCaptureFixture) -> None:
    """It says what, how and how long as words and as fields; trouble of ours warns, the caller's mistakes do not.

    Internal errors are left to the front-ends, which log them with their traceback.
    """
    with caplog.at_level("INFO"):
        CallLog().ended("grpc", "classify", kind, "what came", 0.0021)
    if kind is Kind.INTERNAL:
        assert caplog.records == []
        return
    [record] = caplog.records
    is_ours = kind in (Kind.OVERLOADED, Kind.LATE, Kind.NOT_READY)
    assert record.levelno == (logging.WARNING if is_ours else logging.INFO)
    assert record.getMessage() == f"classify over grpc failed: {kind}: what came"
    fields = vars(record)
    assert [fields[name] for name in ("protocol", "method", "kind", "duration_ms")] == ["grpc", "classify", kind, 2.1]


def test_answered_calls_are_for_debugging(caplog: pytest.LogCaptureFixture) -> None:
    """An answered call is a line at debug and none at info."""
    with caplog.at_level("INFO"):
        CallLog().ended("http", "classify", "ok", "", 0.01)
    assert caplog.records == []
    with caplog.at_level("DEBUG"):
        CallLog().ended("http", "classify", "ok", "", 0.01)
    assert [record.getMessage() for record in caplog.records] == ["classify over http answered in 10.0 ms"]


def test_a_flood_is_counted_instead_of_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Past the limit of its second a kind is silent, other kinds are not; the next line says how many went unlogged."""
    clock = Clock()
    log = CallLog(clock)
    with caplog.at_level("INFO"):
        for _ in range(MAX_LINES_PER_SECOND + 7):
            log.ended("http", "classify", Kind.INVALID, "", 0.0)
        assert len(caplog.records) == MAX_LINES_PER_SECOND
        log.ended("http", "classify", Kind.LATE, "", 0.0)
        clock.now += 1
        log.ended("http", "classify", Kind.INVALID, "", 0.0)
        log.ended("http", "classify", Kind.INVALID, "", 0.0)
    late, first, second = caplog.records[MAX_LINES_PER_SECOND:]
    assert "late" in late.getMessage()
    assert "(7 more" in first.getMessage()
    assert vars(first)["num_unlogged"] == 7
    assert "num_unlogged" not in vars(second)


def test_a_long_message_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    """A caller's long words do not fill the disk."""
    with caplog.at_level("INFO"):
        CallLog().ended("http", "classify", Kind.INVALID, "x" * 1_000_000, 0.0)
    assert len(caplog.records[0].getMessage()) < 600
