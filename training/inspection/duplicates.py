"""Which images of a folder are the same: by their bytes, or nearly, by their pixels.

Near means a JPEG encoded anew, another format, another size; a flipped or clearly cropped image is another one. A hash
of 64 bits, the signs of the lowest frequencies, finds candidates, and the pixels themselves decide: hashes alone call
different photographs of one plain background the same. The measurements are in bench/results.md.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.inspection.glance import THUMB_SIDE, Thumbs

Rows = NDArray[np.int64]
Hashes = NDArray[np.uint64]

MAX_BITS: Final = 7
"""Most bits in which the hashes of near duplicates differ."""
MAX_DIFFERENCE: Final = 0.3
"""Most that the pixels of near duplicates differ, as a share of the contrast."""
_NUM_BANDS: Final = 4
_BAND_BITS: Final = 16
# Seven differing bits in four bands leave one band with at most one of them, so these probes miss none.
_PROBES: Final = (0, *(1 << bit for bit in range(_BAND_BITS)))
_MAX_BUCKET: Final = 128
"""Most images of a bucket that one is compared with; thousands alike are linked by their neighbours all the same."""
_BLOCK: Final = 4096
_NUM_FREQUENCIES: Final = 8
_SILENCE: Final = 0.05
"""Frequencies below this share of the mean have no sign: a symmetric image lacks half of them but for noise."""
_GREY: Final = np.asarray([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Duplicates:
    exact: list[list[int]]
    """Rows of the same bytes, by two or more."""
    near: list[tuple[int, int]]
    """Pairs of different bytes and nearly the same pixels, each by the first row of its bytes."""
    groups: Rows
    """int64 (N,): the first row of the group; rows that are linked by either are of one group."""


def find_duplicates(sha256s: list[str], thumbs: Thumbs, is_image: NDArray[np.bool_]) -> Duplicates:
    """Compares the rows that are images; each other row is a group of its own."""
    by_content: defaultdict[str, list[int]] = defaultdict(list)
    for row in np.flatnonzero(is_image).tolist():
        by_content[sha256s[row]].append(row)
    first_rows = np.asarray([rows[0] for rows in by_content.values()], np.int64)
    pairs = first_rows[near_pairs(thumbs[first_rows])] if len(first_rows) else np.empty((0, 2), np.int64)
    exact = [rows for rows in by_content.values() if len(rows) > 1]
    near = [(left, right) for left, right in pairs.tolist()]
    links = near + [(rows[0], row) for rows in exact for row in rows[1:]]
    return Duplicates(exact, near, _components(len(sha256s), links))


def near_pairs(thumbs: Thumbs) -> Rows:
    """int64 (P, 2), the lower row first, sorted. Images without any contrast are near to none."""
    candidates = candidate_pairs(hashes_of(thumbs))
    kept = [
        block[differences(thumbs, block) <= MAX_DIFFERENCE]
        for block in (candidates[start : start + _BLOCK] for start in range(0, len(candidates), _BLOCK))
    ]
    return np.concatenate(kept) if kept else candidates


def differences(thumbs: Thumbs, pairs: Rows) -> NDArray[np.float64]:
    """float64 (P,): how far the pixels of each pair are apart, as a share of the lower contrast, if there is one."""
    rows, places = np.unique(pairs, return_inverse=True)
    contrasts = _contrasts(thumbs[rows])[places.reshape(pairs.shape)].min(axis=1)
    found = np.full(len(pairs), np.inf)
    np.divide(_distances(thumbs, pairs), contrasts, out=found, where=contrasts > 0)
    return found


def hashes_of(thumbs: Thumbs) -> Hashes:
    """uint64 (N,): which of the 63 lowest frequencies (DCT-II) of the grey image, its mean left out, are positive."""
    places = np.arange(THUMB_SIDE)
    waves = np.cos(np.pi * (2 * places + 1) * np.arange(_NUM_FREQUENCIES)[:, None] / (2 * THUMB_SIDE))
    waves = waves.astype(np.float32)
    hashes = np.empty(len(thumbs), np.uint64)
    for start in range(0, len(thumbs), _BLOCK):
        grey = thumbs[start : start + _BLOCK].astype(np.float32) @ _GREY
        strengths = (waves @ grey @ waves.T).reshape(len(grey), -1)
        strengths[:, 0] = 0
        signs = strengths > _SILENCE * np.abs(strengths).mean(axis=1, keepdims=True)
        # Low frequencies are alike in many images: every band gets its share of each, so that no bucket is crowded.
        spread = signs.reshape(len(grey), _BAND_BITS, _NUM_BANDS).transpose(0, 2, 1).reshape(len(grey), -1)
        hashes[start : start + _BLOCK] = np.packbits(spread, axis=1).view(np.uint64).ravel()
    return hashes


def candidate_pairs(hashes: Hashes) -> Rows:
    """int64 (P, 2): pairs of rows whose hashes differ in at most MAX_BITS, the lower row first, sorted."""
    found = [block for band in range(_NUM_BANDS) for block in _band_pairs(hashes, band)]
    if not found:
        return np.empty((0, 2), np.int64)
    pairs = np.concatenate(found)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def _band_pairs(hashes: Hashes, band: int) -> Iterator[Rows]:
    """Pairs that share this band but for one bit and none of the bands before, in blocks."""
    keys = _band(hashes, band).astype(np.int64)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    for probe in _PROBES:
        wanted = keys ^ probe
        begin = np.searchsorted(keys, wanted) if probe else np.arange(1, len(keys) + 1)
        end = np.minimum(np.searchsorted(keys, wanted, "right"), begin + _MAX_BUCKET)
        lengths = np.where(wanted >= keys, end - begin, 0)  # two buckets meet once
        for start in range(0, len(keys), _BLOCK):
            part = slice(start, start + _BLOCK)
            total = np.cumsum(lengths[part])
            offsets = np.repeat(begin[part] - total + lengths[part], lengths[part])
            left = np.repeat(order[part], lengths[part])
            right = order[offsets + np.arange(len(offsets))]
            bits = hashes[left] ^ hashes[right]
            near = np.bitwise_count(bits) <= MAX_BITS
            for before in range(band):
                near &= np.bitwise_count(_band(bits, before)) > 1
            if near.any():
                yield np.sort(np.stack([left[near], right[near]], axis=1), axis=1)


def _band(hashes: Hashes, band: int) -> Hashes:
    return hashes >> np.uint64(_BAND_BITS * band) & np.uint64(2**_BAND_BITS - 1)


def _contrasts(thumbs: Thumbs) -> NDArray[np.float64]:
    """float64 (N,): root of the mean variance of the channels."""
    return np.sqrt(np.asarray([thumb.reshape(-1, 3).var(axis=0).mean() for thumb in thumbs], np.float64))


def _distances(thumbs: Thumbs, pairs: Rows) -> NDArray[np.float64]:
    """float64 (P,): root mean square difference of the pixels."""
    left_pn, right_pn = (thumbs[pairs[:, side]].reshape(len(pairs), -1).astype(np.int16) for side in (0, 1))
    difference_pn = left_pn - right_pn
    squares = np.einsum("pn,pn->p", difference_pn, difference_pn, dtype=np.int64)
    distances: NDArray[np.float64] = np.sqrt(squares / difference_pn.shape[1])
    return distances


def _components(num_rows: int, links: list[tuple[int, int]]) -> Rows:
    """Union by the lower row, with path halving."""
    parents = list(range(num_rows))

    def root(row: int) -> int:
        while parents[row] != row:
            parents[row] = parents[parents[row]]
            row = parents[row]
        return row

    for left, right in links:
        low, high = sorted((root(left), root(right)))
        parents[high] = low
    return np.asarray([root(row) for row in range(num_rows)], np.int64)
