"""The audit log: one line of JSON a call, with the hash of each image and never the image, written by one thread.

Images are hashed in that thread too. No call waits for it: past a bound of what waits, lines are dropped and counted.
"""

import hashlib
import logging
import random
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Final

import msgspec

from service.call_record import CallRecord, Outcome, address_of
from service.image_store import ImageStore
from service.line_file import LineFile
from service.logs import current_request_id

MOST_CALLS: Final = 4096
"""That wait to be written."""
MOST_BYTES: Final = 64 * 1024 * 1024
"""Of their images, encoded."""
_ENCODER: Final = msgspec.json.Encoder()

_log = logging.getLogger("cnnsvc.audit")


class AuditedImage(msgspec.Struct, frozen=True):
    sha256: str
    """Of the bytes as they came."""
    num_bytes: int
    class_name: str | None = msgspec.field(name="class")
    """The best class, with its score; null where there is no answer."""
    score: float | None
    rejected: bool | None
    """Whether the image is of none of the classes; null where there is no answer."""


class AuditLine(msgspec.Struct, frozen=True):
    """One call."""

    time: datetime
    """Of its arrival, UTC."""
    request_id: str
    protocol: str
    method: str
    model: str
    """That was asked, and with its version known to the server; else empty and 0."""
    version: int
    code: str
    duration_ms: float
    address: str
    """The caller's."""
    caller: str
    """Name of the caller's token."""
    images: list[AuditedImage]
    """Empty where the call was refused before its images were read."""


class _Entry(msgspec.Struct, frozen=True):
    """A call on its way to the thread: its line without images, and these."""

    line: AuditLine
    images: Sequence[bytes | memoryview]
    best: list[tuple[str, float]]
    """Of each image, where there is an answer."""
    rejected: frozenset[int]
    """Places of the images that are of none of the classes."""
    num_bytes: int


class AuditLog:
    def __init__(
        self,
        file: LineFile,
        images: ImageStore | None,
        *,
        sample_percent: float,
        count_dropped: Callable[[], None] = lambda: None,
    ) -> None:
        """`count_dropped` is called for each line and each image that is lost, from two threads."""
        self._file = file
        self._images = images
        self._sample_percent = sample_percent
        self._count_dropped = count_dropped
        self._lines_trouble = _Trouble("the audit log", count_dropped)
        self._images_trouble = _Trouble("the folder of audited images", count_dropped)
        self._queue: SimpleQueue[_Entry | None] = SimpleQueue()
        # Each pair: the first is counted by the loop alone, the second by the thread alone.
        self._num_calls_in = self._num_calls_out = 0
        self._num_bytes_in = self._num_bytes_out = 0
        self._is_overflowing = False
        self._thread = threading.Thread(target=self._work, name="audit", daemon=True)
        self._thread.start()

    def wants_next(self) -> bool:
        """Whether the next call is of the sample."""
        return self._sample_percent >= 100 or 100 * random.random() < self._sample_percent

    def add(self, record: CallRecord, outcome: Outcome) -> None:
        """On the event loop, in the task of the call."""
        num_bytes = sum(map(len, record.images))
        if not self._has_room(num_bytes):
            self._count_dropped()
            if not self._is_overflowing:
                _log.warning("the audit log is not written as fast as calls come; lines are lost")
            self._is_overflowing = True
            return
        self._is_overflowing = False
        self._num_calls_in += 1
        self._num_bytes_in += num_bytes
        best = [classes[0] for classes in record.results]
        self._queue.put(_Entry(_line(record, outcome), record.images, best, record.rejected, num_bytes))

    def close(self) -> None:
        """Writes what waits."""
        self._queue.put(None)
        self._thread.join()

    def _has_room(self, num_bytes: int) -> bool:
        return (
            self._num_calls_in - self._num_calls_out < MOST_CALLS
            and self._num_bytes_in - self._num_bytes_out + num_bytes <= MOST_BYTES
        )

    def _work(self) -> None:
        # A function of its own for each turn, so that an idle thread keeps no image.
        while self._take_turn():
            pass
        self._file.close()

    def _take_turn(self) -> bool:
        entry = self._queue.get()
        if entry is None:
            return False
        digests = [hashlib.sha256(image).hexdigest() for image in entry.images]
        self._lines_trouble.attempt(lambda: self._file.append(_encoded(entry, digests)))
        if self._images:
            for digest, image in zip(digests, entry.images, strict=True):
                self._keep(self._images, digest, image)
        self._num_calls_out += 1
        self._num_bytes_out += entry.num_bytes
        return True

    def _keep(self, images: ImageStore, digest: str, image: bytes | memoryview) -> None:
        self._images_trouble.attempt(lambda: images.keep(digest, image))


class _Trouble:
    """Counts each failure of what is attempted, and tells of the first one in a row and of its end."""

    def __init__(self, what: str, count: Callable[[], None]) -> None:
        self._what = what
        self._count = count
        self._is_failing = False

    def attempt(self, write: Callable[[], None]) -> None:
        try:
            write()
        except Exception as error:  # whatever it is, the thread goes on
            self._count()
            if not self._is_failing:
                _log.error("%s cannot be written, and what belongs in it is lost: %s", self._what, error)
            self._is_failing = True
            return
        if self._is_failing:
            _log.info("%s is written again", self._what)
        self._is_failing = False


def _line(record: CallRecord, outcome: Outcome) -> AuditLine:
    return AuditLine(
        time=datetime.fromtimestamp(record.began_ns / 1e9, UTC),
        request_id=current_request_id(),
        protocol=record.protocol,
        method=record.method,
        model=record.model,
        version=record.version,
        code=outcome.code,
        duration_ms=round(1000 * outcome.seconds, 3),
        address=address_of(record.source),
        caller=outcome.caller,
        images=[],
    )


def _encoded(entry: _Entry, digests: list[str]) -> bytes:
    best: Sequence[tuple[str, float] | tuple[None, None]] = entry.best or [(None, None)] * len(digests)
    images = [
        AuditedImage(digest, len(image), name, score, place in entry.rejected if entry.best else None)
        for place, (digest, image, (name, score)) in enumerate(zip(digests, entry.images, best, strict=True))
    ]
    return _ENCODER.encode(msgspec.structs.replace(entry.line, images=images)) + b"\n"
