"""What the drift of an image costs: measuring its pixels, counting it, and a scrape; prints Markdown.

    python -m bench.drift_cost [--rounds 20]

One thread, CPU time, the best of the rounds. The window is full, so that each image pushes another one out.
"""

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np

from cnnsvc.manifest import Artifact, Baseline, ImageShape, Manifest, Network
from service.drift import DriftWindow

WINDOWS = (1_000, 100_000)
SHAPES = ((32, 3), (180, 3), (224, 3), (180, 1))
NUM_CLASSES = 10
_CALLS = 2_000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    sys.stdout.write(
        "| image | window | measure, µs | count, µs | an image, µs | a scrape, µs |\n|---|---:|---:|---:|---:|---:|\n"
    )
    for side, channels in SHAPES:
        for num_images in WINDOWS:
            costs = cost(side, channels, num_images, rounds=rounds)
            measure, count, scrape = (1e6 * seconds for seconds in costs)
            sys.stdout.write(
                f"| {side}×{side}×{channels} | {num_images:,} | {measure:.1f} | {count:.1f} | {measure + count:.1f} |"
                f" {scrape:.0f} |\n"
            )


def cost(side: int, channels: int, num_images: int, *, rounds: int) -> tuple[float, float, float]:
    """CPU seconds of measuring one image, of counting one, and of one look at all features."""
    random = np.random.default_rng(0)
    image_hwc = random.integers(0, 256, (side, side, channels), dtype=np.uint8)
    window = DriftWindow(_manifest(side, channels), num_images)
    means = window.measure(image_hwc)
    answers = [(f"class {random.integers(NUM_CLASSES)}", float(random.random())) for _ in range(_CALLS)]
    while window.num_images < num_images:
        window.observe(*answers[window.num_images % _CALLS], means)

    def count() -> None:
        for name, score in answers:
            window.observe(name, score, means)

    def measure() -> None:
        for _ in range(_CALLS):
            window.measure(image_hwc)

    return (
        _best(measure, rounds) / _CALLS,
        _best(count, rounds) / _CALLS,
        _best(window.drifts, rounds),
    )


def _best(work: Callable[[], object], rounds: int) -> float:
    seconds = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return min(seconds)


def _manifest(side: int, channels: int) -> Manifest:
    return Manifest(
        format=1,
        name="flowers",
        version=1,
        created="",
        class_names=[f"class {index}" for index in range(NUM_CLASSES)],
        image=ImageShape(side, side, channels),
        pixels=2,
        network=Network("", "", 0),
        artifacts={"model.onnx": Artifact("float32", 0, 0, 0, 0)},
        files={},
        training={},
        baseline=Baseline([1 / NUM_CLASSES] * NUM_CLASSES, [16] * 10, [128.0] * channels, [[10] * 16] * channels),
    )


if __name__ == "__main__":
    main()
