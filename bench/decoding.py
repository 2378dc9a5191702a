"""Decoding and resizing of JPEGs to 180×180: our pixels, in each version, beside Pillow and OpenCV; prints Markdown.

    python -m bench.decoding [--photographs FOLDER] [--rounds 5]

One thread, CPU time, the best of alternating rounds. Pillow and OpenCV as their documentation has it, and with the
reduced decoding that both offer.
"""

import argparse
import io
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from bench.photographs import NUM_OF_SIZE, photographs, size_name
from cnnsvc.pixels import DECODERS, DEFAULT_LIMIT_PIXELS, Pixels, decode, read
from cnnsvc.stretch import stretch
from cnnsvc.stretch_v1 import stretch_v1

SIDE = 180
SIZES = dict(sorted({(320, 240): 64, **NUM_OF_SIZE}.items()))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--photographs", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    ways: dict[str, Callable[[bytes], object]] = {
        "cnnsvc": lambda jpeg: decode(jpeg, SIDE, SIDE, 3),
        "… version 1": lambda jpeg: DECODERS[1](jpeg, SIDE, SIDE, 3),
        "OpenCV": lambda jpeg: _opencv(jpeg, cv2.IMREAD_COLOR),
        "OpenCV, reduced": _opencv_reduced,
        "Pillow": _pillow,
        "Pillow, draft": _pillow_draft,
    }
    files = photographs(arguments.photographs, SIZES)
    sys.stdout.write(f"| JPEG, images/s | {' | '.join(ways)} |\n|---|{'---:|' * len(ways)}\n")
    for size, jpegs in files.items():
        rates = " | ".join(f"{1 / seconds:,.0f}" for seconds in _best(ways, jpegs, arguments.rounds))
        sys.stdout.write(f"| {size_name(size)} | {rates} |\n")
    sys.stdout.write("\n| of that stretching, µs an image | from | cnnsvc | … version 1 |\n|---|---|---:|---:|\n")
    stretches = {"cnnsvc": _to_side(stretch), "… version 1": _to_side(stretch_v1)}
    for size, jpegs in files.items():
        images = [read(jpeg, SIDE, SIDE, 3, DEFAULT_LIMIT_PIXELS) for jpeg in jpegs]
        height, width, _ = images[0].shape
        costs = " | ".join(f"{1e6 * seconds:,.0f}" for seconds in _best(stretches, images, arguments.rounds))
        sys.stdout.write(f"| {size_name(size)} | {size_name((width, height))} | {costs} |\n")


def _best(ways: dict[str, Callable[[Any], object]], images: Sequence[object], rounds: int) -> list[float]:
    """CPU seconds an image, one of each way."""
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.process_time()
            for image in images:
                way(image)
            best[name] = min(best[name], (time.process_time() - started) / len(images))
    return list(best.values())


def _to_side(stretch_it: Callable[[Pixels, int, int], Pixels]) -> Callable[[Pixels], object]:
    return lambda image: stretch_it(image, SIDE, SIDE)


def _opencv(jpeg: bytes, flags: int) -> object:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), flags)
    return cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def _opencv_reduced(jpeg: bytes) -> object:
    """At the largest reduction that stays above the target, which somebody has to read from the header first."""
    width, height = Image.open(io.BytesIO(jpeg)).size
    reductions = ((8, cv2.IMREAD_REDUCED_COLOR_8), (4, cv2.IMREAD_REDUCED_COLOR_4), (2, cv2.IMREAD_REDUCED_COLOR_2))
    flags = next((flag for by, flag in reductions if min(width, height) // by >= SIDE), cv2.IMREAD_COLOR)
    return _opencv(jpeg, flags)


def _pillow(jpeg: bytes) -> object:
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def _pillow_draft(jpeg: bytes) -> object:
    image = Image.open(io.BytesIO(jpeg))
    image.draft("RGB", (SIDE, SIDE))
    return np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR))


if __name__ == "__main__":
    main()
