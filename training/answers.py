"""What a network answers to the files of a folder, by the code that serves and past those that cannot be read."""

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnnsvc.engines.base import Images, Scores
from cnnsvc.errors import DatasetError, EngineError, ImageError, TooLargeError
from cnnsvc.pixels import Pixels
from training.cache import Unreadable
from training.dataset import Listing
from training.evaluate import Labels
from training.originals import read_file, sha256_of
from training.progress import Advance, Reporter

Decode = Callable[[bytes], Pixels]
"""An encoded image to uint8 (H, W, C). Raises ImageError, TooLargeError."""
Run = Callable[[Images], Scores]
"""uint8 (N, H, W, C) to float32 (N, K). Raises EngineError."""


@dataclass(frozen=True)
class Answers:
    listing: Listing
    sha256s: list[str]
    """Of every file of the listing; empty where it cannot be read."""
    unreadable: list[Unreadable]
    rows: NDArray[np.int64]
    """int64 (N,): which files of the listing could be read, ascending."""
    scores_nk: Scores
    """float32 (N, K), in their order."""

    @property
    def labels(self) -> Labels:
        """int32 (N,), in the order of the scores."""
        labels: Labels = self.listing.labels[self.rows]
        return labels

    @property
    def files(self) -> list[Path]:
        return [self.listing.files[row] for row in self.rows.tolist()]


@dataclass(frozen=True)
class _Answer:
    sha256: str
    scores_k: Scores | None
    reason: str = ""


def answer_all(
    listing: Listing, decode: Decode, run: Run, *, num_threads: int, reporter: Reporter | None = None
) -> Answers:
    """So many files at once; a reporter shows how far it is.

    Raises DatasetError where no file can be read, EngineError where the network fails or gives scores that are no
    numbers.
    """

    def answer(file: Path) -> _Answer:
        return _answer(file, decode, run)

    pool = ThreadPoolExecutor(num_threads, thread_name_prefix="judge")
    found: list[_Answer] = []
    try:
        with _bar(reporter, len(listing.files)) as advance:
            for one in pool.map(answer, listing.files):
                found.append(one)
                advance(1)
    finally:
        pool.shutdown(cancel_futures=True)  # on Ctrl-C the files not begun are left alone
    scores = [one.scores_k for one in found if one.scores_k is not None]
    unreadable = [
        Unreadable(file, one.reason) for file, one in zip(listing.files, found, strict=True) if one.scores_k is None
    ]
    if not scores:
        raise DatasetError(
            f"none of the {len(found)} files of {listing.folder} can be read, {unreadable[0].file} first:"
            f" {unreadable[0].reason}"
        )
    rows = np.flatnonzero([one.scores_k is not None for one in found])
    return Answers(listing, [one.sha256 for one in found], unreadable, rows, np.stack(scores))


def _bar(reporter: Reporter | None, total: int) -> contextlib.AbstractContextManager[Advance]:
    return reporter.bar("judging", total) if reporter else contextlib.nullcontext(lambda count: None)


def _answer(file: Path, decode: Decode, run: Run) -> _Answer:
    sha256 = ""
    try:
        content = read_file(file)
        sha256 = sha256_of(content)
        images_nhwc: Images = decode(content)[None]
    except (ImageError, TooLargeError) as error:
        return _Answer(sha256, None, str(error))
    scores_nk = run(images_nhwc)
    if not np.isfinite(scores_nk).all():
        raise EngineError(f"the network gives scores that are no numbers for {file}")
    return _Answer(sha256, scores_nk[0])
