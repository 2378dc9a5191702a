"""Mutated images are the same in every run, of every format, and most of them reach a decoder."""

import hashlib
import zlib

from bench.faults.mutants import FORMATS, mutant

_BEGINNINGS = (b"\xff\xd8", b"\x89PNG", b"RIFF", b"GIF8", b"BM")


def test_a_number_is_a_mutant() -> None:
    """Whoever has the number of a culprit has its bytes."""
    assert [mutant(number) for number in range(20)] == [mutant(number) for number in range(20)]
    assert len({hashlib.sha256(mutant(number)).digest() for number in range(500)}) > 490


def test_formats_come_in_turn() -> None:
    """Two thirds of the mutants of each format still begin as files of it do."""
    for place, beginning in enumerate(_BEGINNINGS):
        images = [mutant(number) for number in range(place, 1000, len(FORMATS))]
        assert sum(image.startswith(beginning) for image in images) > len(images) * 2 / 3


def test_some_checksums_are_mended() -> None:
    """Else no mutated PNG would come further than to its first checksum."""
    headers = [mutant(number)[8:33] for number in range(FORMATS.index("PNG"), 2000, len(FORMATS))]
    changed = [header for header in headers if len(header) == 25 and header[12] != 0 and header[4:8] == b"IHDR"]
    right = [header for header in changed if zlib.crc32(header[4:21]) == int.from_bytes(header[21:])]
    assert changed
    assert right
