"""BYTES tensors in the Open Inference protocol's layout: each element behind its length, a little-endian uint32."""

import struct
from collections.abc import Iterable
from typing import Final

from cnnsvc.errors import InvalidError

_LENGTH: Final = struct.Struct("<I")


def split_elements(raw: bytes | memoryview, count: int) -> list[bytes]:
    """Exactly so many elements, to the last byte. Raises InvalidError."""
    view = memoryview(raw)
    elements: list[bytes] = []
    begin, end = 0, len(view)
    while begin < end:
        if len(elements) == count:
            raise InvalidError(f"BYTES data has {end - begin} bytes more than its shape's {count} elements")
        if end - begin < _LENGTH.size:
            raise InvalidError(
                f"BYTES data ends within the length of element {len(elements) + 1}; expected 4 bytes, little-endian"
            )
        (length,) = _LENGTH.unpack_from(view, begin)
        begin += _LENGTH.size
        if length > end - begin:
            raise InvalidError(
                f"element {len(elements) + 1} of the BYTES data says that it has {length} bytes, and"
                f" {end - begin} follow"
            )
        elements.append(bytes(view[begin : begin + length]))
        begin += length
    if len(elements) != count:
        raise InvalidError(f"BYTES data has {len(elements)} elements; its shape says {count}")
    return elements


def join_elements(elements: Iterable[bytes]) -> bytes:
    return b"".join(part for element in elements for part in (_LENGTH.pack(len(element)), element))
