"""The EXIF orientation of an image, read in microseconds and by one reader for every format.

Pillow reads it too, at 49-87 us a photograph where the whole decoding of a small one takes 260; this takes about 3.
Source: JPEG (ITU T.81, B.1.1) for the segments, EXIF 2.32 for the tag.
"""

import struct
from typing import Final

_EXIF_MARK: Final = b"Exif\0\0"
_UPRIGHT: Final = 1
_ORIENTATION_TAG: Final = 0x0112
_SHORT: Final = 3


def jpeg_orientation(jpeg: bytes) -> int:
    """1..8 as EXIF numbers them; 1 (upright) where there is no EXIF or it cannot be read."""
    position = 2
    while jpeg[position : position + 1] == b"\xff" and len(jpeg) >= position + 4:
        if jpeg[position + 1] == 0xFF:  # any number of these may stand before a marker
            position += 1
            continue
        marker, length = jpeg[position + 1], int.from_bytes(jpeg[position + 2 : position + 4], "big")
        if marker == 0xE1 and jpeg[position + 4 : position + 10] == _EXIF_MARK:
            return exif_orientation(jpeg[position + 4 : position + 2 + length])
        if marker == 0xDA or length < 2:  # the picture itself begins, or the file is broken
            break
        position += 2 + length
    return _UPRIGHT


def exif_orientation(exif: bytes) -> int:
    """The same of an EXIF block, with or without the mark that JPEG and WebP files put before it."""
    tiff = exif.removeprefix(_EXIF_MARK)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return _UPRIGHT
    try:
        (directory,) = struct.unpack_from(order + "I", tiff, 4)
        (num_entries,) = struct.unpack_from(order + "H", tiff, directory)
        for entry in range(directory + 2, directory + 2 + 12 * num_entries, 12):
            tag, kind, count, value = struct.unpack_from(order + "HHIH", tiff, entry)
            if tag == _ORIENTATION_TAG:
                return value if kind == _SHORT and count == 1 and 1 <= value <= 8 else _UPRIGHT
    except struct.error:
        pass
    return _UPRIGHT
