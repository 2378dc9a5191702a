"""What a version of a model has done in this worker since it was loaded: sums of calls, images and time a stage."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from service.batcher import Inference


@dataclass(slots=True)
class Duration:
    """So many times, so long together."""

    count: int = 0
    ns: int = 0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.ns += round(1e9 * seconds)


@dataclass(slots=True)
class BatchTimes:
    """Images that were inferred in batches of one size, and the sum of what each of them took."""

    num_images: int = 0
    inference_seconds: float = 0.0
    decode_seconds: float = 0.0


@dataclass(slots=True)
class Statistics:
    """Written on the event loop alone. A call of many images counts once, with the slowest of them in each stage."""

    answered: Duration = field(default_factory=Duration)
    failed: Duration = field(default_factory=Duration)
    queue: Duration = field(default_factory=Duration)
    decode: Duration = field(default_factory=Duration)
    inference: Duration = field(default_factory=Duration)
    rest: Duration = field(default_factory=Duration)
    """From the last inference to the answer."""
    num_images: int = 0
    last_answer: float = 0.0
    """time.time() seconds; 0 where there is none."""
    batches: dict[int, BatchTimes] = field(default_factory=dict)
    """By images a batch."""

    def add_answer(self, inferences: Sequence[Inference], began_at: float) -> None:
        """`began_at` in seconds of the monotonic clock."""
        now = time.monotonic()
        self.num_images += len(inferences)
        self.last_answer = time.time()
        self.answered.add(now - began_at)
        self.queue.add(max(one.queue_seconds for one in inferences))
        self.decode.add(max(one.decode_seconds for one in inferences))
        self.inference.add(max(one.inference_seconds for one in inferences))
        self.rest.add(now - max(one.ended_at for one in inferences))
        for one in inferences:
            times = self.batches.get(one.batch_size)
            if times is None:
                times = self.batches[one.batch_size] = BatchTimes()
            times.num_images += 1
            times.inference_seconds += one.inference_seconds
            times.decode_seconds += one.decode_seconds

    def add_failure(self, began_at: float) -> None:
        self.failed.add(time.monotonic() - began_at)
