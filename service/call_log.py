"""One log line for each call that failed, up to so many a second; calls that were answered are for debugging only."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cnnsvc.errors import Kind

MAX_LINES_PER_SECOND: Final = 20
"""Of each kind: a flood of bad calls must not become one of log lines. The next line says how many went unlogged."""

_MAX_DETAIL_CHARS: Final = 500
_OUR_TROUBLE: Final = (Kind.NOT_READY, Kind.OVERLOADED, Kind.LATE)

_log = logging.getLogger("cnnsvc.calls")


@dataclass(slots=True)
class _Window:
    ends: float = 0.0
    num_lines: int = 0
    num_unlogged: int = 0


class CallLog:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._windows = {str(kind): _Window() for kind in Kind}

    def ended(self, protocol: str, method: str, code: str, detail: str, seconds: float) -> None:
        """A call's outcome: `code` is ok or the kind of the error, `detail` the error's own words."""
        if code == "ok":
            if _log.isEnabledFor(logging.DEBUG):
                fields = {"protocol": protocol, "method": method, "duration_ms": round(1000 * seconds, 3)}
                _log.debug("%s over %s answered in %.1f ms", method, protocol, 1000 * seconds, extra=fields)
        elif code != Kind.INTERNAL:  # the front-ends log these, each with its traceback
            self._failed(protocol, method, code, detail, seconds)

    def _failed(self, protocol: str, method: str, code: str, detail: str, seconds: float) -> None:
        level = logging.WARNING if code in _OUR_TROUBLE else logging.INFO
        if not _log.isEnabledFor(level) or (num_unlogged := self._admit(code)) is None:
            return
        fields: dict[str, str | float] = {"protocol": protocol, "method": method, "kind": str(code)}
        fields["duration_ms"] = round(1000 * seconds, 3)
        if num_unlogged:
            fields["num_unlogged"] = num_unlogged
        shown = ": ".join(part for part in (str(code), detail[:_MAX_DETAIL_CHARS]) if part)
        unlogged = f" ({num_unlogged} more of the kind before it are not logged)" if num_unlogged else ""
        _log.log(level, "%s over %s failed: %s%s", method, protocol, shown, unlogged, extra=fields)

    def _admit(self, code: str) -> int | None:
        """How many lines of the kind were dropped since the last one, or None where this one is to be dropped too."""
        window, now = self._windows[code], self._clock()
        if now >= window.ends:
            window.ends, window.num_lines = now + 1, 0
        if window.num_lines >= MAX_LINES_PER_SECOND:
            window.num_unlogged += 1
            return None
        window.num_lines += 1
        num_unlogged, window.num_unlogged = window.num_unlogged, 0
        return num_unlogged
