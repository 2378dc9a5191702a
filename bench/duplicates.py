"""How well near duplicates are found among photographs: each is changed as people change files, and looked for.

`python -m bench.duplicates FOLDER`: of each change, how many of the photographs are found again, and how far apart the
pixels are; then the pairs among the files themselves that are taken for near duplicates.
"""

import argparse
import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from cnnsvc import pixels
from training.dataset import scan
from training.inspection import duplicates
from training.inspection.glance import Thumbs, glance_all, thumb_of
from training.progress import Reporter

CHANGES: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG, quality 90": lambda image: _encoded(image, 90),
    "JPEG, quality 50": lambda image: _encoded(image, 50),
    "JPEG, quality 30": lambda image: _encoded(image, 30),
    "PNG": lambda image: _encoded(image, 100, "PNG"),
    "sides × 0.9": lambda image: _encoded(_scaled(image, 0.9), 85),
    "sides × 0.5": lambda image: _encoded(_scaled(image, 0.5), 85),
    "sides × 1.3": lambda image: _encoded(_scaled(image, 1.3), 85),
    "flipped": lambda image: _encoded(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 90),
    "a tenth of each side cropped": lambda image: _encoded(_cropped(image, 0.1), 90),
    "brighter by a tenth": lambda image: _encoded(image.point(lambda value: min(255, int(value * 1.1))), 90),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--number", type=int, default=300, help="photographs to change")
    arguments = parser.parse_args()
    files = scan(arguments.folder).files
    start = time.monotonic()
    _, thumbs = glance_all(files, Reporter())
    read_at = time.monotonic()
    pairs = duplicates.near_pairs(thumbs)
    print(f"{len(files)} files read in {read_at - start:.1f} s, compared in {time.monotonic() - read_at:.2f} s\n")
    rows = np.random.default_rng(0).choice(len(files), min(arguments.number, len(files)), replace=False)
    print("| change | found | difference, median | 99 % | largest |\n|---|---:|---:|---:|---:|")
    for name, change in CHANGES.items():
        _print_change(name, thumbs[rows], np.stack([_changed(files[row], change) for row in rows]))
    print("\nnear duplicates among the files:")
    for left, right in pairs.tolist():
        print(f"- {files[left]} {files[right]}")


def _print_change(name: str, before: Thumbs, after: Thumbs) -> None:
    number = len(before)
    both = np.concatenate([before, after])
    found = {tuple(pair) for pair in duplicates.near_pairs(both).tolist()}
    share = sum((row, row + number) in found for row in range(number)) / number
    pairs = np.stack([np.arange(number), np.arange(number) + number], axis=1)
    apart = duplicates.differences(both, pairs)
    middle, most, largest = np.percentile(apart, [50, 99, 100])
    print(f"| {name} | {share:.1%} | {middle:.3f} | {most:.3f} | {largest:.3f} |", flush=True)


def _changed(file: Path, change: Callable[[Image.Image], bytes]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with Image.open(file) as image:
        return thumb_of(pixels.decode(change(image.convert("RGB")), 64, 64, 3))


def _encoded(image: Image.Image, quality: int, image_format: str = "JPEG") -> bytes:
    stream = io.BytesIO()
    image.save(stream, image_format, quality=quality)
    return stream.getvalue()


def _scaled(image: Image.Image, by: float) -> Image.Image:
    return image.resize((round(image.width * by), round(image.height * by)))


def _cropped(image: Image.Image, share: float) -> Image.Image:
    width, height = image.width * share / 2, image.height * share / 2
    return image.crop((round(width), round(height), round(image.width - width), round(image.height - height)))


if __name__ == "__main__":
    main()
