"""How long the parts of a training took, as the report page shows them."""

import statistics
from dataclasses import dataclass
from typing import Any

from training.trained import EpochRecord


@dataclass(frozen=True)
class PartTime:
    part: str
    seconds: float
    images_per_second: float | None
    """None where a part is not of images."""


def times_of(recorded: dict[str, Any], history: list[EpochRecord]) -> list[PartTime]:
    """In their order, from the facts of a training; none where it recorded no time."""
    timings = recorded.get("timings", {})
    num_images = recorded.get("data", {}).get("num_files", 0)
    speeds = {
        "inspection": _rate(num_images, timings.get("inspection_seconds", 0.0)),
        "decoding": _rate(num_images, timings.get("decoding_seconds", 0.0)),
        "training": statistics.median(record.images_per_second for record in history),
        "export": None,
    }
    return [
        PartTime(part, timings[f"{part}_seconds"], speed)
        for part, speed in speeds.items()
        if f"{part}_seconds" in timings
    ]


def _rate(num_images: int, seconds: float) -> float | None:
    return num_images / seconds if seconds else None
