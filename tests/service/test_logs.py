"""How lines look in either format, and which call they are about."""

import asyncio
import json
import logging
import re
import subprocess
import sys
from typing import Any

import pytest

from service import logs
from service.logs import LogFormat


def _line(log_format: LogFormat, message: str, *arguments: object, worker: int | None = None, **options: Any) -> str:
    """The line that a handler as `configure` makes it writes."""
    lines: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler = Handler()
    handler.addFilter(logs.RequestIdFilter(worker))
    handler.setFormatter(logs.formatter(log_format, worker=worker))
    logger = logging.Logger("cnnsvc.test")
    logger.addHandler(handler)
    logger.warning(message, *arguments, **options)
    [line] = lines
    return line


async def test_a_json_line_has_its_fields_in_order() -> None:
    """Time in UTC as RFC 3339 writes it, level, logger, message, request id, then the extra fields as they are."""
    logs.bind_request_id("call-1")
    line = _line("json", "%s came", "it", extra={"kind": "late", "duration_ms": 1.5, "color_message": "\x1b[1m"})
    fields = json.loads(line)
    assert list(fields) == ["time", "level", "logger", "message", "request_id", "kind", "duration_ms"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", fields.pop("time"))
    assert fields == {
        "level": "WARNING",
        "logger": "cnnsvc.test",
        "message": "it came",
        "request_id": "call-1",
        "kind": "late",
        "duration_ms": 1.5,
    }


def test_an_exception_is_one_field() -> None:
    """The traceback stands in the line's field `exception`, its line breaks escaped."""
    try:
        raise ZeroDivisionError("über\nzero")
    except ZeroDivisionError as error:
        line = _line("json", "failed", exc_info=error)
    assert "\n" not in line
    exception = json.loads(line)["exception"]
    assert exception.startswith("Traceback (most recent call last):\n")
    assert exception.endswith("ZeroDivisionError: über\nzero")


@pytest.mark.parametrize("text", ["ü ✓", "a\nb\r\x1b[2J\u2028", '"quoted" \\', "\udcff", "\x00"])
def test_any_text_is_one_line(text: str) -> None:
    """Whatever a caller sends, JSON repeats it in ASCII and text escapes what could end the line or move the cursor."""
    line = _line("json", "got %s", text)
    assert line.isascii()
    assert json.loads(line)["message"] == f"got {text}"
    line = _line("text", "got %s", text)
    assert len(line.splitlines()) == 1
    assert "\x1b" not in line


async def test_a_line_of_text_ends_with_the_request_id() -> None:
    """Outside of a call there is none, in either format."""
    assert _line("text", "ready").endswith("Z WARNING cnnsvc.test ready")
    assert "request_id" not in json.loads(_line("json", "ready"))
    logs.bind_request_id("call-2")
    assert _line("text", "failed").endswith(" failed request_id=call-2")


async def test_one_of_several_workers_is_named() -> None:
    """Its lines say which one it is in either format, before the request id in text."""
    logs.bind_request_id("call-3")
    assert _line("text", "failed", worker=0).endswith(" failed worker=0 request_id=call-3")
    assert json.loads(_line("json", "failed", worker=0))["worker"] == 0


async def test_a_traced_call_is_named() -> None:
    """Its lines have the id of the trace in either format, and in JSON that of the span too."""
    logs.bind_request_id("call-4")
    assert "trace_id" not in _line("json", "failed")
    logs.bind_trace("0123", "4567")
    assert _line("text", "failed").endswith(" failed request_id=call-4 trace_id=0123")
    fields = json.loads(_line("json", "failed"))
    assert (fields["trace_id"], fields["span_id"]) == ("0123", "4567")


@pytest.mark.parametrize("given", [None, "", "a b", "a\n", "x" * 129, "ümlaut", "{}"])
async def test_an_id_that_is_not_safe_is_replaced(given: str | None) -> None:
    """A new id is bound and returned in place of one that could break a header or a line."""
    request_id = logs.bind_request_id(given)
    assert re.fullmatch("[0-9a-f]{32}", request_id)
    assert logs.current_request_id() == request_id


async def test_each_task_has_its_own_id() -> None:
    """Calls served at the same time do not see each other's ids."""

    async def call(name: str) -> str:
        assert logs.bind_request_id(name) == name
        await asyncio.sleep(0)
        return logs.current_request_id()

    assert await asyncio.gather(*(call(name) for name in "abc")) == ["a", "b", "c"]
    assert logs.current_request_id() == ""


PROGRAM = """
import logging, sys, threading, warnings
from service import logs
logs.configure(sys.argv[1], sys.argv[2])
logging.getLogger("another").info("begun")
logging.getLogger("uvicorn.error").warning("one line for each request that is no HTTP")
logging.getLogger("other").debug("details")
warnings.warn("old")
threading.Thread(target=lambda: 1 / 0).start()
raise RuntimeError("broken")
"""


@pytest.mark.parametrize(("level", "num_lines"), [("debug", 5), ("info", 4), ("error", 2)])
def test_all_that_a_process_says_is_json(level: str, num_lines: int) -> None:
    """Other libraries' lines, warnings and uncaught errors, in threads too, take the same way as ours."""
    words = [sys.executable, "-c", PROGRAM, level, "json"]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (1, "")
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert len(lines) == num_lines
    assert {line["level"] for line in lines[-2:]} == {"CRITICAL"}
    exceptions = " ".join(line.get("exception", "") for line in lines)
    assert "ZeroDivisionError" in exceptions
    assert "RuntimeError: broken" in exceptions
