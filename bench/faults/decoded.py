"""Mutants through the pixel function in a process of its own, started again behind each one that ended it."""

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.sharedctypes import Synchronized
from typing import Final

from bench.faults.mutants import mutant
from bench.faults.watch import sampled_mib
from cnnsvc.errors import ImageError, Kind, TooLargeError
from cnnsvc.pixels import decode

CRASH: Final = "crash"
HANG: Final = "hang"

_SIDE: Final = 180
_CONTEXT: Final = multiprocessing.get_context("spawn")
_BATCH: Final = 500
_POLL_SECONDS: Final = 0.05
_HANG_SECONDS: Final = 30.0


@dataclass
class Decoded:
    kinds: Counter[str] = field(default_factory=Counter)
    """ok, kinds of errors of ours, names of all others, CRASH and HANG."""
    culprits: dict[int, str] = field(default_factory=dict)
    """Mutants that neither decoded nor were refused as they should, with what came instead."""
    samples_mib: list[float] = field(default_factory=list)
    seconds: float = 0.0


def decode_all(num_mutants: int, make: Callable[[int], bytes] = mutant) -> Decoded:
    """Mutants by number; `make` must be a function of a module."""
    found, place, started = Decoded(), 0, time.monotonic()
    while place < num_mutants:
        place = _decode_until_crash(place, num_mutants, make, found)
    found.seconds = time.monotonic() - started
    return found


def _decode_until_crash(first: int, end: int, make: Callable[[int], bytes], found: Decoded) -> int:
    """The number to go on with."""
    place, (ours, theirs) = _CONTEXT.Value("q", first), _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_work, args=(first, end, make, place, theirs))
    process.start()
    theirs.close()
    assert process.pid is not None
    ours.recv()  # it has begun: what its imports take is no growth
    with sampled_mib(process.pid) as samples:
        is_hung = _collect(process, place, ours, found)
    found.samples_mib += samples[:-1]  # the last one may be of its end
    process.join()
    if process.exitcode == 0:
        return end
    culprit = int(place.value)
    found.kinds[HANG if is_hung else CRASH] += 1
    found.culprits[culprit] = f"hung for {_HANG_SECONDS} s" if is_hung else f"exit code {process.exitcode}"
    return culprit + 1


def _collect(process: SpawnProcess, place: "Synchronized[int]", ours: Connection, found: Decoded) -> bool:
    """What the process tells until its end; whether it was ended since it stood still."""
    last, since = -1, time.monotonic()
    while True:
        try:
            if ours.poll(_POLL_SECONDS):
                kinds, culprits = ours.recv()
                found.kinds += kinds
                found.culprits |= culprits
        except EOFError:
            return False
        if place.value != last:
            last, since = place.value, time.monotonic()
        elif time.monotonic() > since + _HANG_SECONDS:
            process.kill()
            return True


def _work(first: int, end: int, make: Callable[[int], bytes], place: "Synchronized[int]", pipe: Connection) -> None:
    kinds: Counter[str] = Counter()
    culprits: dict[int, str] = {}
    pipe.send((kinds, culprits))
    for number in range(first, end):
        place.value = number
        kinds[_decode(make(number), number, culprits)] += 1
        if number % _BATCH == _BATCH - 1 or number == end - 1:
            pipe.send((kinds, culprits))
            kinds, culprits = Counter(), {}


def _decode(image: bytes, number: int, culprits: dict[int, str]) -> str:
    channels = 1 if number % 2 else 3
    try:
        pixels = decode(image, _SIDE, _SIDE, channels)
    except (ImageError, TooLargeError) as error:
        return error.kind.value
    except Exception as error:  # what the front-ends would answer as internal
        culprits[number] = f"{type(error).__name__}: {error}"
        return type(error).__name__
    if pixels.shape != (_SIDE, _SIDE, channels):
        culprits[number] = f"pixels of shape {pixels.shape}"
        return Kind.INTERNAL.value
    return "ok"
