"""Decodes every image once into uint8 rows, in memory or, past a limit, in a temporary file that is mapped.

The rows are what `cnnsvc.pixels.decode` gives, so the network trains on the very bytes that it will be served.
"""

import hashlib
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cnnsvc import pixels
from cnnsvc.engines.threads import available_cpus
from cnnsvc.errors import DatasetError, ImageError, TooLargeError
from cnnsvc.manifest import ImageShape
from training.dataset import Listing, Split, Subset
from training.originals import read_file, sha256_of
from training.progress import Reporter
from training.trained import Labelled

_MIB: Final = 2**20
# Decoding releases the interpreter's lock; past this many threads the disk and the lock are the limit.
_MAX_THREADS: Final = 16


@dataclass(frozen=True)
class Unreadable:
    file: Path
    reason: str


@dataclass(frozen=True)
class Cache:
    training: Labelled
    validation: Labelled
    unreadable: list[Unreadable]
    fingerprint: dict[str, str]
    """By class name: SHA-256 over the relative names and the contents of its files, in order of the names."""


@dataclass(frozen=True)
class _Read:
    content_sha256: str
    reason: str | None
    """None where the row was filled."""


def fill_cache(listing: Listing, split: Split, image: ImageShape, *, limit_mib: int, reporter: Reporter) -> Cache:
    """Both subsets decoded, in their order, without the unreadable files.

    Raises DatasetError where these leave a class without training images or nothing to validate on, or where there is
    no room for the cache.
    """
    files = [*split.training.files, *split.validation.files]
    rows = _rows(len(files), image, limit_mib)
    reads = _decode_all(files, rows, image, reporter)
    num_training = len(split.training.files)
    cache = Cache(
        _readable(split.training, reads[:num_training], rows[:num_training]),
        _readable(split.validation, reads[num_training:], rows[num_training:]),
        [Unreadable(file, read.reason) for file, read in zip(files, reads, strict=True) if read.reason is not None],
        fingerprint_of(listing, {file: read.content_sha256 for file, read in zip(files, reads, strict=True)}),
    )
    _check(listing, cache)
    return cache


def fingerprint_of(listing: Listing, sha256s: dict[Path, str]) -> dict[str, str]:
    """By class name, from the SHA-256 of each file's content."""
    digests = [hashlib.sha256() for _ in listing.class_names]
    named = [(os.fsencode(file.relative_to(listing.folder)), file) for file in listing.files]
    for (name, file), label in sorted(zip(named, listing.labels.tolist(), strict=True)):
        # Length first, so that no two lists of names and contents read the same.
        digests[label].update(b"%d:%s %s\n" % (len(name), name, sha256s[file].encode()))
    return {name: digest.hexdigest() for name, digest in zip(listing.class_names, digests, strict=True)}


def _rows(num_images: int, image: ImageShape, limit_mib: int) -> NDArray[np.uint8]:
    """Room for uint8 (N, H, W, C)."""
    shape = (num_images, image.height, image.width, image.channels)
    num_bytes = num_images * image.height * image.width * image.channels
    try:
        if num_bytes <= limit_mib * _MIB:
            return np.empty(shape, np.uint8)
        # Without a name from the start, so that even a killed run leaves nothing behind; the mapping keeps it alive.
        with tempfile.TemporaryFile(prefix="cnnsvc-cache-") as file:
            # A full disk is an error here; met later, through the mapping, it would end the process.
            os.posix_fallocate(file.fileno(), 0, num_bytes)
            return np.memmap(file, np.uint8, "r+", shape=shape)
    except (OSError, MemoryError) as error:
        raise DatasetError(
            f"no room for {num_images} decoded images, {num_bytes / _MIB:.0f} MiB, in"
            f" {'memory' if num_bytes <= limit_mib * _MIB else tempfile.gettempdir()}: {error};"
            f" memory is used up to --cache-limit-mib {limit_mib}, the folder that TMPDIR names beyond"
        ) from None


def _decode_all(files: list[Path], rows: NDArray[np.uint8], image: ImageShape, reporter: Reporter) -> list[_Read]:
    def decode_one(row: int) -> _Read:
        return _decode_into(files[row], rows[row], image)

    pool = ThreadPoolExecutor(min(available_cpus(), _MAX_THREADS), thread_name_prefix="decode")
    reads = []
    try:
        with reporter.bar("decoding", len(files)) as advance:
            for read in pool.map(decode_one, range(len(files))):
                reads.append(read)
                advance(1)
    finally:
        pool.shutdown(cancel_futures=True)  # on Ctrl-C the files not begun are left alone
    return reads


def _decode_into(file: Path, row: NDArray[np.uint8], image: ImageShape) -> _Read:
    sha256 = ""
    try:
        content = read_file(file)
        sha256 = sha256_of(content)
        row[:] = pixels.decode(content, image.height, image.width, image.channels)
    except (ImageError, TooLargeError) as error:
        return _Read(sha256, str(error))
    return _Read(sha256, None)


def _readable(subset: Subset, reads: Sequence[_Read], rows: NDArray[np.uint8]) -> Labelled:
    """Closes the gaps in place: a copy would need the memory twice."""
    kept = [row for row, read in enumerate(reads) if read.reason is None]
    for target, source in enumerate(kept):
        if target != source:
            rows[target] = rows[source]
    return Labelled(
        [subset.files[row] for row in kept],
        rows[: len(kept)],
        subset.labels[kept],
        [reads[row].content_sha256 for row in kept],
    )


def _check(listing: Listing, cache: Cache) -> None:
    lost = set(range(len(listing.class_names))).difference(cache.training.labels.tolist())
    if not lost and cache.validation.files:
        return
    what = (
        f"class {listing.class_names[min(lost)]!r} has no readable training image"
        if lost
        else "no validation image is readable"
    )
    first = cache.unreadable[0]
    raise DatasetError(
        f"{what}; {len(cache.unreadable)} of {len(listing.files)} files of {listing.folder} cannot be read,"
        f" {first.file} first: {first.reason}"
    )
