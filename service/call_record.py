"""What is known of one call that is traced or audited: filled while it is answered, read when it has ended.

Where neither is asked for there is no record, and no call costs anything for it.
"""

import time
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cnnsvc.ranking import ScoredClasses


class GrpcCall(Protocol):
    """As much of gRPC's context as is read here; its type would load gRPC."""

    def peer(self) -> str: ...

    def invocation_metadata(self) -> Any: ...


Source = MutableMapping[str, Any] | GrpcCall
"""Where a call came from: the scope of an HTTP request, or the context of a gRPC call."""


class Stages(Protocol):
    """When one image was in which stage, in seconds of the monotonic clock."""

    @property
    def queued_at(self) -> float: ...
    @property
    def taken_at(self) -> float: ...
    @property
    def decoded_at(self) -> float: ...
    @property
    def begun_at(self) -> float: ...
    @property
    def ended_at(self) -> float: ...


@dataclass(slots=True)
class CallRecord:
    protocol: str
    method: str
    source: Source
    began_ns: int = field(default_factory=time.time_ns)
    """Since 1970."""
    began_at: float = field(default_factory=time.monotonic)
    """Seconds."""
    images: Sequence[bytes | memoryview] = ()
    """As they came, encoded or as bytes of pixels; empty where the call was refused before they were known."""
    model: str = ""
    version: int = 0
    """Of the model that was asked, whether it answered or not."""
    stages: Sequence[Stages] = ()
    """One an image; empty where there is no answer."""
    results: Sequence[ScoredClasses] = ()
    rejected: frozenset[int] = frozenset()
    """Places of the images that are of none of the classes."""
    is_audited: bool = False
    """Whether it is of the sample."""
    span: Any = None
    """As service.traces made it."""

    def nanoseconds(self, monotonic_seconds: float) -> int:
        """Such a time as one since 1970, by the clocks as they were when the call began."""
        return self.began_ns + round(1e9 * (monotonic_seconds - self.began_at))


@dataclass(frozen=True, slots=True)
class Outcome:
    code: str
    """ok, or the kind of the error."""
    seconds: float
    caller: str
    """Name of the caller's token; "" where there is none."""


class Recorder(Protocol):
    """Called on the event loop, in the task of the call; it must neither wait nor raise."""

    def begin(self, protocol: str, method: str, source: Source) -> CallRecord | None:
        """None where this call is not recorded."""

    def end(self, record: CallRecord, outcome: Outcome) -> None: ...


def header_values(source: Source, name: str) -> list[str]:
    """Of an HTTP header or of gRPC metadata; `name` is in small letters."""
    if isinstance(source, MutableMapping):
        wanted = name.encode("ascii")
        return [value.decode("latin-1") for key, value in source["headers"] if key == wanted]
    metadata = source.invocation_metadata() or ()
    return [value for key, value in metadata if key == name and isinstance(value, str)]


def address_of(source: Source) -> str:
    """The caller's, without its port; "" where it is not known."""
    if isinstance(source, MutableMapping):
        client = source.get("client")
        return str(client[0]) if client else ""
    family, _, address = source.peer().partition(":")
    if family not in ("ipv4", "ipv6"):
        return ""
    host = address.rpartition(":")[0]
    return host.replace("%5B", "").replace("%5D", "").strip("[]")
