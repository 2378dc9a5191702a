"""The state of a search in its folder: the plan, and a line for each thing that happened, so that a killed one goes on.

A trial counts once its end is written; one that was under way is trained again. The plan is one file, renamed into
place, the events are appended: whenever a search is killed, at most the last line is torn, and that one is dropped.
"""

import dataclasses
import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

import msgspec

from cnnsvc.errors import InvalidError
from cnnsvc.manifest import ImageShape
from training.search.outcome import Candidate, Outcome, Status
from training.trained import EpochRecord

FORMAT: Final = 1
PLAN_FILE: Final = "plan.json"
EVENTS_FILE: Final = "events.jsonl"


class Plan(msgspec.Struct, frozen=True):
    """What a search tries on which data; the same from its start to its end."""

    format: int
    folder: str
    settings: dict[str, Any]
    """Fields of SearchSettings."""
    image: ImageShape
    class_names: list[str]
    fingerprint: dict[str, str]
    """By class: a hash of its files."""
    num_training: int
    num_validation: int
    least_right: int
    """Validation images that a network must name right, or else it learned nothing."""
    candidates: list[Candidate]


class _Event(msgspec.Struct, frozen=True, omit_defaults=True):
    network: str
    status: Status | None = None
    record: EpochRecord | None = None
    reason: str = ""
    node: str = ""
    is_repeated: bool = False
    """Whether the trial failed by what need not happen again."""


class Journal:
    """The outcomes of a search, kept on disk as they change."""

    def __init__(self, plan: Plan, events: BinaryIO) -> None:
        self.plan = plan
        self.outcomes = {candidate.name: Outcome(candidate) for candidate in plan.candidates}
        self._events = events

    def begin(self, network: str) -> None:
        self._happened(_Event(network, Status.RUNNING))

    def epoch(self, network: str, record: EpochRecord, node: str) -> None:
        self._happened(_Event(network, record=record, node=node))

    def end(self, network: str, status: Status, reason: str = "", *, is_repeated: bool = False) -> None:
        """A failure that `is_repeated` is tried again when the search is resumed."""
        self._happened(_Event(network, status, reason=reason, is_repeated=is_repeated))

    def waiting(self) -> list[Candidate]:
        """Those without an end."""
        ends = (Status.FINISHED, Status.CUT, Status.FAILED)
        return [one.candidate for one in self.outcomes.values() if one.status not in ends]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._events.close()

    def _happened(self, event: _Event) -> None:
        self._events.write(msgspec.json.encode(event) + b"\n")
        self._events.flush()
        os.fsync(self._events.fileno())
        self._apply(event)

    def _apply(self, event: _Event) -> None:
        before = self.outcomes[event.network]
        if event.record is not None:
            after = dataclasses.replace(before, curve=(*before.curve, event.record), node=event.node)
        elif event.status is Status.RUNNING:
            after = Outcome(before.candidate, Status.RUNNING)
        elif event.status is None:
            raise msgspec.ValidationError(f"nothing is said of network {event.network}")
        else:
            after = dataclasses.replace(before, status=event.status, reason=event.reason)
        self.outcomes[event.network] = after

    def _replay(self, content: bytes) -> None:
        """Raises msgspec.DecodeError, or KeyError for a network that is not in the plan."""
        repeated = set()
        for line in content.splitlines():
            event = msgspec.json.decode(line, type=_Event)
            self._apply(event)
            repeated.discard(event.network)
            if event.is_repeated:
                repeated.add(event.network)
        for name, outcome in self.outcomes.items():
            if outcome.status is Status.RUNNING or name in repeated:
                self.outcomes[name] = Outcome(outcome.candidate)


def begin_journal(search_dir: Path, plan: Plan) -> Journal:
    """The journal of a new search. Raises InvalidError where the folder holds one already, or cannot be written."""
    check_new(search_dir)
    try:
        search_dir.mkdir(parents=True, exist_ok=True)
        events = _locked(search_dir)
        draft = search_dir / f".{PLAN_FILE}"
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(plan), indent=2) + b"\n")
        draft.rename(search_dir / PLAN_FILE)
    except OSError as error:
        raise InvalidError(f"no search can be written into {search_dir}: {error.strerror}") from None
    events.truncate(0)
    return Journal(plan, events)


def resume_journal(search_dir: Path) -> Journal:
    """The journal of a search that was begun; trials without an end wait again, their curves dropped.

    Raises InvalidError where there is none, or it cannot be read.
    """
    plan = read_plan(search_dir)
    try:
        events = _locked(search_dir)
        content = (search_dir / EVENTS_FILE).read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        events.truncate(len(whole))
    except OSError as error:
        raise InvalidError(f"the search in {search_dir} cannot be resumed: {error.strerror}") from None
    journal = Journal(plan, events)
    try:
        journal._replay(whole)
    except (msgspec.DecodeError, KeyError) as error:
        events.close()
        raise InvalidError(f"{search_dir / EVENTS_FILE} cannot be read: {error}") from None
    return journal


def read_plan(search_dir: Path) -> Plan:
    """Raises InvalidError."""
    try:
        plan = msgspec.json.decode((search_dir / PLAN_FILE).read_bytes(), type=Plan)
    except FileNotFoundError:
        raise InvalidError(f"{search_dir} holds no search to resume") from None
    except (OSError, msgspec.DecodeError) as error:
        raise InvalidError(f"{search_dir / PLAN_FILE} cannot be read: {error}") from None
    if plan.format != FORMAT:
        raise InvalidError(f"{search_dir / PLAN_FILE} is of format {plan.format}; known is {FORMAT}")
    return plan


def check_new(search_dir: Path) -> None:
    """Raises InvalidError where the folder holds a search."""
    if (search_dir / PLAN_FILE).exists():
        raise InvalidError(f"{search_dir} holds a search; go on with it by --resume, or name another --search-dir")


def _locked(search_dir: Path) -> BinaryIO:
    """The events, opened to append to. Raises InvalidError where another process writes them."""
    events = (search_dir / EVENTS_FILE).open("ab")
    try:
        fcntl.flock(events, fcntl.LOCK_EX | fcntl.LOCK_NB)  # freed by the system however the process ends
    except OSError:
        events.close()
        raise InvalidError(f"another search is running in {search_dir}") from None
    return events
