"""How the service logs: lines of text or of JSON on standard error, each with the id of the call that caused it."""

import logging
import os
import random
import re
import sys
import threading
import time
from contextvars import ContextVar
from types import TracebackType
from typing import Final, Literal

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

LogFormat = Literal["text", "json"]

REQUEST_ID_HEADER: Final = "x-request-id"
"""HTTP header and gRPC metadata key that carry the id of a call, both ways."""

_log = logging.getLogger("cnnsvc.logs")
_SAFE_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_request_id: ContextVar[str] = ContextVar("request_id", default="")
_trace: ContextVar[tuple[str, str]] = ContextVar("trace", default=("", ""))
_CONTROLS: Final = {code: repr(chr(code))[1:-1] for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)}


def bind_request_id(given: str | None = None) -> str:
    """Names the call that the current task serves, for all it logs: as given where that is safe to repeat, else anew.

    There is no unbinding: a task serves one call, and what its server logs after our answer is about the call too.
    """
    request_id = given if given and _SAFE_REQUEST_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"
    _request_id.set(request_id)
    return request_id


def current_request_id() -> str:
    """The id of the call that the current task serves; "" outside of one."""
    return _request_id.get()


def bind_trace(trace_id: str, span_id: str) -> None:
    """Names the trace of the call that the current task serves, as hexadecimal digits, for all it logs from now on."""
    _trace.set((trace_id, span_id))


def configure(level: str, log_format: LogFormat, *, worker: int | None = None) -> None:
    """Sends what every library logs, warns or raises uncaught to standard error in this format.

    One of several workers is named in each of its lines.
    """
    handler = logging.StreamHandler()
    handler.addFilter(RequestIdFilter(worker))
    handler.setFormatter(formatter(log_format, worker=worker))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    logging.getLogger("grpc._cython.cygrpc").addFilter(_UNREAD_ANSWERS)
    # It tells of every file that changes; what came of it, we tell.
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    # One line for each request that is no HTTP, as fast as they come; they are answered.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    # gRPC's core writes its own kind of lines past Python, one for each handshake that fails among them; what they tell
    # that matters, our errors tell too.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def formatter(log_format: LogFormat, *, worker: int | None = None) -> logging.Formatter:
    return _Json() if log_format == "json" else _Text(worker)


class RequestIdFilter(logging.Filter):
    """Lets every record through and gives it the ids of the call that the current task serves, and the worker's."""

    def __init__(self, worker: int | None = None) -> None:
        super().__init__()
        self._worker = worker

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = _request_id.get()
        trace_id, span_id = _trace.get()
        if trace_id:
            record.trace_id, record.span_id = trace_id, span_id
        if self._worker is not None:
            record.worker = self._worker
        return True


class _UnreadAnswers(logging.Filter):
    """Leaves out what gRPC logs as an error, with a traceback, where a client goes before it has read its answer."""

    def filter(self, record: logging.LogRecord) -> bool:
        kind = record.exc_info[0] if record.exc_info else None
        return kind is None or kind.__name__ != "ExecuteBatchError"


_UNREAD_ANSWERS: Final = _UnreadAnswers()


class _Utc:
    """RFC 3339 in UTC, such as 2026-01-02T03:04:05.678Z, where logging's formatters look for it."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format: str | None = "%s.%03dZ"


class _Text(_Utc, logging.Formatter):
    def __init__(self, worker: int | None) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")
        self._suffix = "" if worker is None else f" worker={worker}"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging calls it by this name
        """One line whatever the caller's words in it are: nobody forges a second one. A traceback follows as it is."""
        line = super().formatMessage(record).translate(_CONTROLS) + self._suffix
        for name in ("request_id", "trace_id"):
            if value := getattr(record, name, ""):
                line += f" {name}={value}"
        return line


class _Json(_Utc, JsonFormatter):
    """One object a line, in ASCII, which no locale can break; what is logged as `extra` are fields of their own."""

    def __init__(self) -> None:
        super().__init__(
            ["asctime", "levelname", "name", "message", "request_id"],
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger", "exc_info": "exception"},
            reserved_attrs=[*RESERVED_ATTRS, "color_message"],  # uvicorn's message again, for terminals
            json_ensure_ascii=True,
        )

    def process_log_record(self, log_data: dict[str, object]) -> dict[str, object]:
        if not log_data["request_id"]:
            del log_data["request_id"]
        return log_data


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    _log.critical("ended by an error that nobody caught", exc_info=(kind, error, traceback))


def _log_uncaught_in_thread(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_value is not None:
        uncaught = (arguments.exc_type, arguments.exc_value, arguments.exc_traceback)
        _log.critical("a thread ended by an error that nobody caught", exc_info=uncaught)
