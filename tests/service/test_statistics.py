"""What is counted of one version: by hand, and by the predictor in calls that succeed and fail."""

import time

import numpy as np
import pytest

from service.batcher import Inference
from service.statistics import Statistics


def inference(batch_size: int = 1, *, queue: float = 0.0, decode: float = 0.25, infer: float = 0.5) -> Inference:
    began = time.monotonic() - 2
    return Inference(
        np.array([1], np.float32),
        queued_at=began,
        taken_at=began + queue,
        decoded_at=began + queue + decode,
        begun_at=began + queue + decode,
        ended_at=began + queue + decode + infer,
        channel_means=(),
        batch_size=batch_size,
    )


def test_nothing_yet() -> None:
    """Zeros."""
    found = Statistics()
    assert (found.answered.count, found.num_images, found.last_answer, found.batches) == (0, 0, 0.0, {})


def test_a_call_counts_once_with_its_slowest_image() -> None:
    """In each stage; each of its images counts in the batch that it was in."""
    found = Statistics()
    found.add_answer([inference(2, queue=0.125), inference(2, decode=0.375), inference()], time.monotonic() - 3)
    assert (found.answered.count, found.num_images) == (1, 3)
    assert found.queue.ns == pytest.approx(0.125e9, abs=1000)
    assert found.decode.ns == pytest.approx(0.375e9, abs=1000)
    assert found.inference.ns == pytest.approx(0.5e9, abs=1000)
    assert found.answered.ns >= 3e9
    assert 0.5e9 < found.rest.ns < found.answered.ns
    assert found.last_answer == pytest.approx(time.time(), abs=10)
    assert {size: times.num_images for size, times in found.batches.items()} == {2: 2, 1: 1}
    assert found.batches[2].inference_seconds == pytest.approx(1.0)


def test_failures() -> None:
    """They have their own count and no images."""
    found = Statistics()
    found.add_failure(time.monotonic() - 1)
    assert (found.failed.count, found.num_images) == (1, 0)
    assert found.failed.ns >= 1e9
