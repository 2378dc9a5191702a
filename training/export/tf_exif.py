"""The EXIF orientation of a JPEG in TensorFlow's operations, which otherwise ignore it; cnnsvc/exif.py for graphs."""

from typing import Any, Final

import tensorflow as tf

_EXIF_SEARCH_BYTES: Final = 65_536
_EXIF_HEADER: Final = ((0, 0xFF), (1, 0xE1), *enumerate(b"Exif\0\0", start=4))
_EXIF_HEADER_BYTES: Final = 10
_TIFF_ENTRY_BYTES: Final = 12
_ORIENTATION: Final = (0x0112, 3, 1)
"""Tag, type (short) and count of the entry, EXIF 2.32."""


def jpeg_orientation(jpeg: Any) -> Any:
    """1..8 as EXIF numbers them, int64; 1 where there is no EXIF in the first 64 KiB or it cannot be read."""
    head = tf.cast(tf.io.decode_raw(tf.strings.substr(jpeg, 0, _EXIF_SEARCH_BYTES), tf.uint8), tf.int64)
    num_places = tf.maximum(tf.size(head) - _EXIF_HEADER_BYTES, 0)
    is_header = tf.reduce_all([head[i : num_places + i] == value for i, value in _EXIF_HEADER], axis=0)
    return tf.cond(
        tf.reduce_any(is_header),
        lambda: _tiff_orientation(head[tf.argmax(tf.cast(is_header, tf.int8)) + _EXIF_HEADER_BYTES :]),
        lambda: tf.constant(1, tf.int64),
    )


def _tiff_orientation(tiff: Any) -> Any:
    """The orientation in a TIFF header, int64 bytes; what lies past the end reads as 0."""
    size = tf.size(tiff, tf.int64)
    is_little = tiff[0] == ord("I")

    def number(positions: Any, num_bytes: int) -> Any:
        places = positions[..., None] + tf.range(num_bytes, dtype=tf.int64)
        digits = tf.where(places < size, tf.gather(tiff, tf.minimum(places, size - 1)), tf.constant(0, tf.int64))
        digits = tf.where(is_little, digits[..., ::-1], digits)
        return tf.reduce_sum(digits * [256**power for power in reversed(range(num_bytes))], axis=-1)

    directory = number(tf.constant(4, tf.int64), 4)
    entries = directory + 2 + _TIFF_ENTRY_BYTES * tf.range(number(directory, 2))
    tag, kind, count = _ORIENTATION
    wanted = (number(entries, 2) == tag) & (number(entries + 2, 2) == kind) & (number(entries + 4, 4) == count)
    # Exactly one entry says so in a sound file; the maximum of none is a huge negative number.
    found = tf.reduce_max(tf.where(wanted, number(entries + 8, 2), 0))
    return tf.where((found >= 1) & (found <= 8), found, tf.constant(1, tf.int64))
