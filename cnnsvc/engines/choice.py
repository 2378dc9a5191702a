"""Which engine answers: every artifact in every engine is proven and timed on this machine, the fastest right one wins.

Which is fastest no rule of thumb tells: the same INT8 file is four times as fast as float32 in OpenVINO and slower than
it in ONNX Runtime, and bfloat16 pays only where the CPU has it.
"""

import itertools
import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import msgspec

from cnnsvc.bundle import Bundle
from cnnsvc.engines.base import Engine, EngineName, Images
from cnnsvc.engines.choice_cache import ChoiceCache
from cnnsvc.engines.golden import check_golden, golden_images
from cnnsvc.engines.load import ENGINES, load_engine, runnable_artifacts
from cnnsvc.errors import BundleError, CnnsvcError, Fault, UnsupportedError

_NUM_ROUNDS: Final = 3
_ROUND_SECONDS: Final = 0.04
_WORTH: Final = 1.05
"""How many times faster larger batches or fewer streams must be: usually they only answer later."""

_log = logging.getLogger("cnnsvc.engines")


class Trial(msgspec.Struct, frozen=True):
    """One artifact in one engine, tried on this machine."""

    engine: str
    """openvino | onnxruntime"""
    artifact: str
    """Such as model.int8.onnx; with @bfloat16 behind it the file's float32 was computed in bfloat16."""
    num_streams: int
    """Inferences at once, each on one thread."""
    batch_size: int
    """Images an inference."""
    images_per_second: float = 0.0
    """0 where it was refused, or not timed since there was no other."""
    is_chosen: bool = False
    refusal: str = ""
    """Why it must not answer; empty where it may."""

    def describe(self) -> str:
        """One line for the log."""
        form = f"{self.artifact} in {self.engine}, {self.num_streams} streams, batches of {self.batch_size}"
        speed = f"{self.images_per_second:.0f} images/s" if self.images_per_second else "not timed"
        return f"{form}: {self.refusal or speed}{' (chosen)' if self.is_chosen else ''}"


@dataclass(frozen=True)
class Asked:
    """What the user leaves to the choice and what not."""

    engine: EngineName = "auto"
    artifact: str | None = None
    """None: any of the bundle."""
    num_streams: int = 1
    may_use_fewer: bool = False
    """Whether half as many are tried too: threads of one core may get in each other's way."""
    max_batch_size: int = 1


@dataclass(frozen=True)
class Choice:
    engine: Engine
    """Proven."""
    batch_size: int
    """Images an inference at best."""
    trials: list[Trial]


def choose_engine(
    bundle: Bundle, asked: Asked, cache: ChoiceCache | None = None, known: Sequence[Trial] = ()
) -> Choice:
    """The fastest engine that gives the bundle's golden answers; a cached choice is proven again but not timed.

    Neither is what is `known` of such a network, for which the cache is not asked. Raises BundleError where the bundle
    has nothing to run or the golden answers do not come out, UnsupportedError for an engine that is not installed,
    EngineError.
    """
    if known and (choice := _remembered(bundle, asked, list(known))):
        return choice
    if cache is None:
        return _tried(bundle, asked)
    key = cache.key(bundle, asked)
    with cache.locked(key):  # of several workers that start at once one times, undisturbed, and the others read
        if (trials := cache.read(key, list[Trial])) and (choice := _remembered(bundle, asked, trials)):
            return choice
        choice = _tried(bundle, asked)
        cache.write(key, choice.trials)
        return choice


def images_per_second(
    engine: Engine, images_nhwc: Images, *, num_streams: int, batch_size: int, seconds: float
) -> float:
    """Of uint8 (N, H, W, C), taken again and again by so many threads for so long."""
    batches = list(itertools.islice(_batches(images_nhwc, batch_size), 16))

    def work(thread: int) -> tuple[int, float]:
        engine.run(batches[0])  # the first inference of a thread and of a batch size costs tens of milliseconds
        num_images, started = 0, time.perf_counter()
        for batch in itertools.cycle(batches):
            engine.run(batch)
            num_images += len(batch)
            if (elapsed := time.perf_counter() - started) >= seconds:
                return num_images, elapsed
        raise AssertionError("cycle never ends")

    with ThreadPoolExecutor(num_streams) as threads:
        return sum(num_images / elapsed for num_images, elapsed in threads.map(work, range(num_streams)))


def _batches(images_nhwc: Images, batch_size: int) -> Iterator[Images]:
    rows = itertools.cycle(range(len(images_nhwc)))
    while True:
        yield images_nhwc[[next(rows) for _ in range(batch_size)]]


def _pairs(bundle: Bundle, asked: Asked) -> list[tuple[str, str]]:
    """Engines and artifacts to try. Raises BundleError where there is none."""
    engines = list(ENGINES) if asked.engine == "auto" else [asked.engine]
    artifacts = [asked.artifact] if asked.artifact else runnable_artifacts(bundle)
    if not artifacts:
        raise BundleError(f"{bundle.path} has no artifact for an engine", Fault.ENGINE)
    return list(itertools.product(engines, artifacts))


def _remembered(bundle: Bundle, asked: Asked, trials: list[Trial]) -> Choice | None:
    """None where it does not prove itself any more, whatever the reason."""
    chosen = next((trial for trial in trials if trial.is_chosen), None)
    if chosen is None:
        return None
    try:
        engine = _proven(bundle, chosen.engine, chosen.artifact, chosen.num_streams)
    except CnnsvcError as error:
        _log.warning("the engine remembered for %s is tried anew: %s", bundle.path, error)
        return None
    return Choice(engine, chosen.batch_size, trials)


def _tried(bundle: Bundle, asked: Asked) -> Choice:
    best: Engine | None = None
    fastest: Trial | None = None
    trials: list[Trial] = []
    errors: list[CnnsvcError] = []
    pairs = _pairs(bundle, asked)
    for name, artifact in pairs:
        try:
            engine: Engine | None = _proven(bundle, name, artifact, asked.num_streams)
        except CnnsvcError as error:
            errors.append(error)
            trials.append(Trial(name, artifact, asked.num_streams, 1, refusal=str(error)))
            continue
        assert engine is not None
        found = _timed(bundle, engine, asked, is_alone=len(pairs) == 1)
        preferred = _preferred(found)
        trials += found
        if fastest is None or preferred.images_per_second > fastest.images_per_second:
            best, fastest, engine = engine, preferred, best
        if engine is not None:
            engine.close()
    if best is None or fastest is None:
        raise next((error for error in errors if not isinstance(error, UnsupportedError)), errors[0])
    if fastest.num_streams < asked.num_streams:  # opened anew, without what the other streams need
        best.close()
        best = _proven(bundle, fastest.engine, fastest.artifact, fastest.num_streams)
    marked = [msgspec.structs.replace(trial, is_chosen=trial is fastest) for trial in trials]
    return Choice(best, fastest.batch_size, marked)


def _proven(bundle: Bundle, name: str, artifact: str, num_streams: int) -> Engine:
    engine = load_engine(name, bundle, artifact, num_threads=num_streams)
    try:
        check_golden(bundle, engine)
    except BaseException:
        engine.close()
        raise
    return engine


def _timed(bundle: Bundle, engine: Engine, asked: Asked, *, is_alone: bool) -> list[Trial]:
    """In the order of preference where they are about equally fast; where there is no choice nothing is timed."""
    forms = [(asked.num_streams, 1)]
    if asked.may_use_fewer and asked.num_streams > 1:
        forms.append((asked.num_streams // 2, 1))
    if asked.max_batch_size > 1 and not engine.is_single:
        forms.append((asked.num_streams, asked.max_batch_size))
    trials = [Trial(engine.name, engine.artifact, num_streams, batch_size) for num_streams, batch_size in forms]
    if is_alone and len(trials) == 1:
        return trials
    images_nhwc = golden_images(bundle)
    speeds = [0.0] * len(trials)
    # The best of several rounds in turn: whatever else the machine does only ever slows them down.
    for _ in range(_NUM_ROUNDS):
        for place, trial in enumerate(trials):
            speed = images_per_second(
                engine, images_nhwc, num_streams=trial.num_streams, batch_size=trial.batch_size, seconds=_ROUND_SECONDS
            )
            speeds[place] = max(speeds[place], speed)
    return [msgspec.structs.replace(it, images_per_second=speed) for it, speed in zip(trials, speeds, strict=True)]


def _preferred(trials: list[Trial]) -> Trial:
    preferred = trials[0]
    for trial in trials[1:]:
        if trial.images_per_second > _WORTH * preferred.images_per_second:
            preferred = trial
    return preferred
