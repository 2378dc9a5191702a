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
├── OverloadedError         overloaded     too much waits already; try again later
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


class Fault(StrEnum):
    """What is wrong with a version of a model that must not be served, in one word for metrics and listings."""

    MANIFEST = "manifest"
    """Absent, malformed, or at odds with the bundle."""
    FORMAT = "format"
    """Of a format that this program does not read."""
    HASH = "hash"
    """A file is not the one that the manifest describes, or is absent."""
    NAME = "name"
    """It lies in the folder of another model or version."""
    GOLDEN = "golden"
    """The golden answers do not come out."""
    ENGINE = "engine"
    """No engine takes it."""
    CLASSES = "classes"
    """It has other class names than the version that serves."""
    CRASHED = "crashed"
    """It ended the process that tried it."""
    TIMEOUT = "timeout"
    """It took too long to prove."""
    UNREADABLE = "unreadable"
    """Its folder cannot be read."""
    UPSTREAM = "upstream"
    """The server that is to infer it cannot be reached, or does not take it; it is tried again by itself."""
    WITHDRAWN = "withdrawn"
    """Taken out of service by an operator, or since it failed too often."""
    UNEXPECTED = "unexpected"


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
    """Too much waits already; after `retry_after_seconds` less will."""

    kind = Kind.OVERLOADED

    def __init__(self, message: str, retry_after_seconds: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


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
    def __init__(self, message: str, fault: Fault = Fault.MANIFEST) -> None:
        super().__init__(message)
        self.fault = fault


class EngineError(InternalError):
    pass


class ExportError(InternalError):
    pass


def fault_of(error: Exception) -> Fault:
    """What an error that refuses a version says of it."""
    if isinstance(error, BundleError):
        return error.fault
    if isinstance(error, EngineError | UnsupportedError):
        return Fault.ENGINE
    return Fault.UNREADABLE if isinstance(error, OSError) else Fault.UNEXPECTED
