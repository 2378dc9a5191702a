"""The errors of cnnsvc and their kinds; front-ends translate kinds to gRPC and HTTP (service/frontends/status.py).

CnnsvcError
├── InvalidError            invalid        the caller's input does not mean anything here
│   ├── NotationError       invalid        a network's notation; names the column
│   ├── ImageError          invalid        bytes that are not a decodable image
│   ├── DatasetError        invalid        a training folder that cannot be trained on
│   ├── SettingError        invalid        a flag or an environment variable out of range
│   └── TrainingError       invalid        a run that did not learn
├── UnsupportedError        unsupported    understood, but not offered (format, content type, device)
├── TooLargeError           too_large      body, pixels or batch over a limit
├── NotFoundError           not_found      no such model, version, route
├── NotReadyError           not_ready      known, but not serving yet
├── OverloadedError         overloaded     the queue is full; try again later
├── LateError               late           the deadline passed before the answer
├── CallCancelledError      cancelled      the caller went away, or another side ended the call
├── UnauthenticatedError    unauthenticated  the caller is not known
├── ForbiddenError          forbidden      the caller is known and may not
├── ConflictError           conflict       another change came first
├── UnimplementedError      unimplemented  the server has no such method
└── InternalError           internal       our fault
    ├── BundleError         internal       a bundle that must not be served
    ├── EngineError         internal       an inference engine that failed
    └── ExportError         internal       an artifact that disagrees with the trained network
"""

from enum import StrEnum
from typing import ClassVar


class Kind(StrEnum):
    """What went wrong, in words that no protocol owns."""

    INVALID = "invalid"
    UNSUPPORTED = "unsupported"
    TOO_LARGE = "too_large"
    NOT_FOUND = "not_found"
    NOT_READY = "not_ready"
    OVERLOADED = "overloaded"
    LATE = "late"
    CANCELLED = "cancelled"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    CONFLICT = "conflict"
    UNIMPLEMENTED = "unimplemented"
    INTERNAL = "internal"


class CnnsvcError(Exception):
    """An error with a message for the caller: what came, what is allowed, where."""

    kind: ClassVar[Kind] = Kind.INTERNAL


class InvalidError(CnnsvcError):
    kind = Kind.INVALID


class NotationError(InvalidError):
    """A network's notation that cannot be read; `column` counts from 1."""

    def __init__(self, column: int, message: str) -> None:
        super().__init__(f"notation column {column}: {message}")
        self.column = column


class ImageError(InvalidError):
    pass


class DatasetError(InvalidError):
    pass


class SettingError(InvalidError):
    pass


class TrainingError(InvalidError):
    pass


class UnsupportedError(CnnsvcError):
    kind = Kind.UNSUPPORTED


class TooLargeError(CnnsvcError):
    kind = Kind.TOO_LARGE


class NotFoundError(CnnsvcError):
    kind = Kind.NOT_FOUND


class NotReadyError(CnnsvcError):
    kind = Kind.NOT_READY


class OverloadedError(CnnsvcError):
    kind = Kind.OVERLOADED


class LateError(CnnsvcError):
    kind = Kind.LATE


class CallCancelledError(CnnsvcError):
    kind = Kind.CANCELLED


class UnauthenticatedError(CnnsvcError):
    kind = Kind.UNAUTHENTICATED


class ForbiddenError(CnnsvcError):
    kind = Kind.FORBIDDEN


class ConflictError(CnnsvcError):
    kind = Kind.CONFLICT


class UnimplementedError(CnnsvcError):
    kind = Kind.UNIMPLEMENTED


class InternalError(CnnsvcError):
    kind = Kind.INTERNAL


class BundleError(InternalError):
    pass


class EngineError(InternalError):
    pass


class ExportError(InternalError):
    pass
