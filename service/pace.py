"""How fast a model's streams go of late, and how long a call will wait by that: pure arithmetic, no clock."""

from dataclasses import dataclass
from typing import Final

_KEPT: Final = 0.95
"""Of the weight of all images before, at each one: half of what is known is of the last fourteen."""
_CAUTION: Final = 1.5
"""A mean is too short for half of all calls; one that would be late is better off elsewhere at once."""


@dataclass(slots=True)
class Backlog:
    """What is submitted and not answered."""

    num_images: int = 0
    num_bytes: int = 0
    """To decode."""


class Pace:
    """Seconds of one stream: of inference by the image, of decoding by the byte, since photographs take longest there.

    Both are ratios of sums in which the past fades. Before the first image all is expected to take no time.
    """

    def __init__(self) -> None:
        self._num_images = self._inference_seconds = 0.0
        self._num_bytes = self._decode_seconds = 0.0

    def observe(self, num_bytes: int, *, decode_seconds: float, inference_seconds: float) -> None:
        """One image; `inference_seconds` are its share of its batch."""
        self._num_images = _KEPT * self._num_images + 1
        self._inference_seconds = _KEPT * self._inference_seconds + inference_seconds
        if num_bytes:  # pixels have none, and would let the bytes fade while their moments add up
            self._num_bytes = _KEPT * self._num_bytes + num_bytes
            self._decode_seconds = _KEPT * self._decode_seconds + decode_seconds

    def seconds(self, num_images: int, num_bytes: int) -> float:
        """What they take in one stream."""
        if not self._num_images:
            return 0.0
        seconds = num_images * self._inference_seconds / self._num_images
        if self._num_bytes:
            seconds += num_bytes * self._decode_seconds / self._num_bytes
        return seconds


def expected_seconds(pace: Pace, backlog: Backlog, num_streams: int, num_images: int, num_bytes: int) -> float:
    """Until a call of these images is answered, behind the backlog.

    0 where a stream is free: whatever is expected then is tried, so an estimate gone wrong is put right.
    """
    if backlog.num_images < num_streams:
        return 0.0
    wait_seconds = pace.seconds(backlog.num_images, backlog.num_bytes) / num_streams
    return wait_seconds + pace.seconds(num_images, num_bytes) / max(1, min(num_images, num_streams))


def is_in_time(expected: float, remaining: float) -> bool:
    """Whether a call that is expected to take so many seconds is worth its work, with so many left."""
    return _CAUTION * expected <= remaining
