"""Small files that fuzzing found (bench/fuzz_pixels.py), each for a path of its own through the decoders."""

import contextlib
from pathlib import Path

import numpy as np
import pytest

from cnnsvc.errors import ImageError, TooLargeError
from cnnsvc.pixels import decode

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())
LIMIT_PIXELS = 1_000_000


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.name)
@pytest.mark.parametrize("channels", [1, 3])
def test_found_files_decode_or_are_refused(file: Path, channels: int) -> None:
    """Pixels of the asked shape or one of the two refusals, and nothing else."""
    with contextlib.suppress(ImageError, TooLargeError):
        pixels = decode(file.read_bytes(), 12, 16, channels, limit_pixels=LIMIT_PIXELS)
        assert pixels.shape == (12, 16, channels)
        assert pixels.dtype == np.uint8


def test_the_corpus_is_there_and_small() -> None:
    """It holds a file of every format, and stays below 20 KB in all."""
    assert {file.name.partition("-")[0] for file in CORPUS} == {"bmp", "gif", "jpeg", "png", "webp"}
    assert sum(file.stat().st_size for file in CORPUS) < 20_000
