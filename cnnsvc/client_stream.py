"""Images over one ClassifyStream call, from threads: few are held at a time, each gets an outcome whatever happens."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Generic

import grpc

from cnnsvc.classification import Image, Key, Outcome
from cnnsvc.client_messages import stream_outcome
from cnnsvc.errors import CnnsvcError, InternalError, LateError
from cnnsvc.pb import classifier_pb2 as pb

WINDOW: Final = 64
"""Images taken from the caller and not handed back: twice what the server reads ahead, so that it need not wait."""

GRACE_SECONDS: Final = 2.0
"""How much longer than its time limit an image is waited for: the server's own answer that it is late comes first."""

StartCall = Callable[[Iterator[pb.ClassifyStreamRequest]], Any]
MakeRequest = Callable[[int, Image], pb.ClassifyStreamRequest | CnnsvcError]


@dataclass(frozen=True, slots=True)
class End:
    """The call is over; `error` is None where the server ended it well."""

    error: CnnsvcError | None

    @property
    def reason(self) -> CnnsvcError:
        """Why what is left has no answer."""
        return self.error or InternalError("the server ended the stream without an answer to this image")


class Ledger(Generic[Key]):
    """The images that were taken from the caller and not handed back, by their place in the stream."""

    def __init__(self, *, in_order: bool) -> None:
        self._in_order = in_order
        self._keys: dict[int, Key] = {}
        self._outcomes: dict[int, Outcome] = {}
        self._num_taken = 0
        self._num_given = 0
        self._busy_since = 0.0

    def take(self, key: Key) -> int:
        """The place of an image that has come."""
        if not self._keys:
            self._busy_since = time.monotonic()
        place = self._num_taken
        self._keys[place] = key
        self._num_taken += 1
        return place

    def settle(self, place: int, outcome: Outcome) -> list[tuple[Key, Outcome]]:
        """What may be handed to the caller now; an answer to nothing that was asked changes nothing."""
        if place not in self._keys:
            return []
        if not self._in_order:
            return [(self._keys.pop(place), outcome)]
        self._outcomes[place] = outcome
        ready = []
        while self._num_given in self._outcomes:
            ready.append((self._keys.pop(self._num_given), self._outcomes.pop(self._num_given)))
            self._num_given += 1
        return ready

    def fail_unanswered(self, error: CnnsvcError) -> list[tuple[Key, Outcome]]:
        """Everything that is left, with the error where there is no outcome."""
        left = [(key, self._outcomes.get(place, error)) for place, key in sorted(self._keys.items())]
        self._keys.clear()
        return left

    def is_overdue(self, patience_seconds: float) -> bool:
        """Whether some image, after as long a silence of the server, is one that it should have answered."""
        return bool(self._keys) and time.monotonic() - self._busy_since >= patience_seconds


class ImageStream(Generic[Key]):
    """gRPC's thread takes and sends images, a second one receives answers, the caller's own hands them out."""

    def __init__(
        self,
        images: Iterable[tuple[Key, Image]],
        make_request: MakeRequest,
        make_error: Callable[[grpc.RpcError], CnnsvcError],
        *,
        timeout_seconds: float,
        in_order: bool,
    ) -> None:
        """`timeout_seconds` is what the server has for each image once it has read it."""
        self._images = iter(images)
        self._patience_seconds = timeout_seconds + GRACE_SECONDS
        self._make_request = make_request
        self._make_error = make_error
        self._ledger: Ledger[Key] = Ledger(in_order=in_order)
        self._room = threading.Semaphore(WINDOW)
        self._events: queue.SimpleQueue[tuple[int, Outcome] | End] = queue.SimpleQueue()
        self._taking = threading.Lock()
        self._is_over = False
        self._has_taken_all = False
        self._failure: Exception | None = None

    def outcomes(self, start_call: StartCall) -> Iterator[tuple[Key, Outcome]]:
        """One for every image; where the call cannot begin, that is the outcome of all.

        Raises what the caller's own iterable raised, after the outcomes of what it gave.
        """
        try:
            call = start_call(self._requests())
        except CnnsvcError as error:
            yield from self._rest(End(error))
            return
        receiver = threading.Thread(target=self._receive, args=(call,), daemon=True)
        receiver.start()
        try:
            while not isinstance(event := self._next_event(), End):
                for handed in self._ledger.settle(*event):
                    self._room.release()
                    yield handed
            yield from self._rest(event)
        finally:
            self._is_over = True
            self._room.release()
            call.cancel()
            receiver.join()

    def _requests(self) -> Iterator[pb.ClassifyStreamRequest]:
        while (taken := self._take()) is not None:
            request = self._make_request(*taken)
            if isinstance(request, CnnsvcError):
                self._events.put((taken[0], request))
            else:
                yield request

    def _take(self) -> tuple[int, Image] | None:
        """The next image with its place, once there is room for it; None at the end."""
        self._room.acquire()
        with self._taking:
            if self._is_over:
                return None
            try:
                key, image = next(self._images)
            except StopIteration:
                self._has_taken_all = True
                return None
            except Exception as error:
                self._failure = error
                return None
            return self._ledger.take(key), image

    def _receive(self, call: Any) -> None:
        try:
            for answer in call:
                self._events.put(stream_outcome(answer))
        except grpc.RpcError as error:
            self._events.put(End(self._make_error(error)))
        except Exception as error:  # whatever it is, the caller must not wait for ever
            self._events.put(End(InternalError(f"the answer of the server cannot be read: {error}")))
        else:
            self._events.put(End(None))

    def _next_event(self) -> tuple[int, Outcome] | End:
        """Waits for it, but not for ever: a server that hangs without being gone is given up."""
        while True:
            try:
                return self._events.get(timeout=self._patience_seconds)
            except queue.Empty:
                if self._ledger.is_overdue(self._patience_seconds):
                    return silence(self._patience_seconds)

    def _rest(self, end: End) -> Iterator[tuple[Key, Outcome]]:
        """Outcomes of what the server did not answer, and of what it was never asked."""
        with self._taking:  # gRPC's thread may be taking an image: it notes that one first
            self._is_over = True
        yield from self._ledger.fail_unanswered(end.reason)
        if self._failure is not None:
            raise self._failure
        if not self._has_taken_all:
            for key, _ in self._images:
                yield key, end.reason


def silence(seconds: float) -> End:
    return End(LateError(f"the server gave no answer for {1000 * seconds:.0f} ms"))
