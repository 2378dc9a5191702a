"""training/inspection/duplicates.py: what is the same image, and what is not."""

import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnsvc import pixels
from tests.training.runs import quiet_reporter
from tests.training.scenes import encoded, scene, write_scenes
from training.dataset import scan
from training.inspection.duplicates import MAX_BITS, candidate_pairs, find_duplicates, hashes_of, near_pairs
from training.inspection.glance import Thumbs, thumb_of
from training.inspection.inspection import conflicting_rows, inspect_folder

NUM_SCENES = 40


def thumbs_of(files: list[bytes]) -> Thumbs:
    return np.stack([thumb_of(pixels.decode(file, 64, 64, 3)) for file in files])


SAME: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG of lower quality": lambda image: encoded(image, quality=40),
    "PNG": lambda image: encoded(image, "PNG"),
    "WebP": lambda image: encoded(image, "WEBP", 70),
    "a tenth smaller": lambda image: encoded(image.resize((216, 162)), quality=85),
    "half the size": lambda image: encoded(image.resize((120, 90))),
    "larger": lambda image: encoded(image.resize((317, 238))),
}
OTHER: dict[str, Callable[[Image.Image], bytes]] = {
    "flipped": lambda image: encoded(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
    "upside down": lambda image: encoded(image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)),
    "a quarter cropped": lambda image: encoded(image.crop((30, 22, 210, 158))),
    "its negative": lambda image: encoded(image.point(lambda value: 255 - value)),
    "channels exchanged": lambda image: encoded(Image.merge("RGB", image.split()[::-1])),
}


@pytest.mark.parametrize("kind", SAME)
def test_the_same_picture_in_another_file(kind: str) -> None:
    """Each of 40 pictures is found again, and none is taken for another one."""
    images = [scene(seed) for seed in range(NUM_SCENES)]
    thumbs = thumbs_of([encoded(image) for image in images] + [SAME[kind](image) for image in images])
    assert near_pairs(thumbs).tolist() == [[row, row + NUM_SCENES] for row in range(NUM_SCENES)]


@pytest.mark.parametrize("kind", OTHER)
def test_another_picture(kind: str) -> None:
    """What training would profit from as a new image is none of the duplicates."""
    images = [scene(seed) for seed in range(NUM_SCENES)]
    thumbs = thumbs_of([encoded(image) for image in images] + [OTHER[kind](image) for image in images])
    assert near_pairs(thumbs).tolist() == []


def test_the_buckets_miss_no_candidate() -> None:
    """All pairs of hashes that differ in at most seven bits are found, wherever the bits lie, and no others."""
    random = np.random.default_rng(1)
    hashes = random.integers(0, 2**64, 300, dtype=np.uint64)
    for row in range(100, 300):
        bits = random.choice(64, row % 10, replace=False).astype(np.uint64)
        hashes[row] = hashes[row % 100] ^ np.bitwise_or.reduce(np.uint64(1) << bits, initial=np.uint64(0))
    expected = [
        [left, right]
        for left, right in combinations(range(300), 2)
        if int(np.bitwise_count(hashes[left] ^ hashes[right])) <= MAX_BITS
    ]
    assert len(expected) > 200
    assert candidate_pairs(hashes).tolist() == expected


def test_plain_images_are_near_to_none() -> None:
    """Without contrast there is nothing to compare, whatever the colours."""
    plain = np.broadcast_to(np.arange(0, 200, 20, dtype=np.uint8)[:, None, None, None], (10, 16, 16, 3))
    assert near_pairs(np.ascontiguousarray(plain)).tolist() == []


def test_groups_link_copies_and_the_likes_of_copies() -> None:
    """Exact and near links join into one group; other rows, unreadable ones too, stay alone."""
    image = scene(1)
    thumbs = thumbs_of([encoded(image), encoded(scene(2)), encoded(image), encoded(image, "PNG"), encoded(scene(3))])
    is_image = np.asarray([True, True, True, True, False])
    found = find_duplicates(["a", "b", "a", "c", "a"], thumbs, is_image)
    assert found.exact == [[0, 2]]
    assert found.near == [(0, 3)]
    assert found.groups.tolist() == [0, 1, 0, 0, 4]


def test_nothing_readable() -> None:
    """A folder of broken files has no duplicates."""
    found = find_duplicates(["", ""], np.zeros((2, 16, 16, 3), np.uint8), np.zeros(2, bool))
    assert (found.exact, found.near, found.groups.tolist()) == ([], [], [0, 1])


def test_thousands_take_no_time() -> None:
    """8,000 pictures are compared in seconds, and so are 2,000 of nearly the same, all of one group."""
    random = np.random.default_rng(2)
    thumbs = random.integers(0, 256, (8_000, 16, 16, 3), dtype=np.uint8)
    alike = np.repeat(thumbs[:1], 2000, axis=0)
    alike[np.arange(2000), np.arange(2000) % 16, 0, 0] ^= np.uint8(1)
    start = time.monotonic()
    assert len(hashes_of(thumbs)) == 8_000
    assert near_pairs(thumbs).tolist() == []
    groups = find_duplicates([str(row) for row in range(2000)], alike, np.ones(2000, bool)).groups
    assert not groups.any()
    assert time.monotonic() - start < 20


def test_contradicting_labels(tmp_path: Path) -> None:
    """The same bytes in two classes and nearly the same pixels in two are told apart; all their files conflict."""
    write_scenes(tmp_path, 4)
    (tmp_path / "dog/copy.jpg").write_bytes((tmp_path / "cat/00.jpg").read_bytes())
    (tmp_path / "dog/again.png").write_bytes(encoded(scene(1), "PNG"))
    (tmp_path / "cat/twin.jpg").write_bytes((tmp_path / "cat/01.jpg").read_bytes())
    (tmp_path / "cat/own.png").write_bytes(encoded(scene(2), "PNG"))
    inspection = inspect_folder(scan(tmp_path), quiet_reporter())

    def names(rows: list[int] | tuple[int, ...]) -> list[str]:
        return [str(inspection.listing.files[row].relative_to(tmp_path)) for row in rows]

    assert [names(rows) for rows in inspection.exact_conflicts] == [["cat/00.jpg", "dog/copy.jpg"]]
    assert [names(pair) for pair in inspection.near_conflicts] == [["cat/01.jpg", "dog/again.png"]]
    expected = ["cat/00.jpg", "cat/01.jpg", "cat/twin.jpg", "dog/again.png", "dog/copy.jpg"]
    assert names(conflicting_rows(inspection)) == expected
