"""The pixel function once more, in TensorFlow's operations, for the signatures that take encoded images.

It comes close to cnnsvc.pixels, for JPEGs to within 2 of 255, and cannot equal it everywhere: BMP files of
1, 4 or 16 bits a pixel and compressed ones are refused.
"""

from typing import Any, Final

import tensorflow as tf

from cnnsvc.manifest import ImageShape
from training.export.tf_exif import jpeg_orientation

_DIVISORS: Final = (8, 4, 2, 1)
"""The scales that cnnsvc.pixels decodes JPEGs at, each one over this."""
_GREY_WEIGHTS: Final = (0.299, 0.587, 0.114)
"""ITU-R BT.601, as Pillow and JPEG have them; TensorFlow's own PNG decoder uses BT.709's."""


def decode_batch(image_bytes: Any, shape: ImageShape) -> Any:
    """Pixels, float32 (N, H, W, C) with whole values 0..255, of N encoded images; one bad image fails all."""
    return tf.map_fn(
        lambda one: _decode(one, shape),
        image_bytes,
        fn_output_signature=tf.TensorSpec((shape.height, shape.width, shape.channels), tf.float32),
    )


def _decode(image_bytes: Any, shape: ImageShape) -> Any:
    image = tf.cond(
        tf.io.is_jpeg(image_bytes),
        lambda: _decode_jpeg(image_bytes, shape),
        lambda: _decode_other(image_bytes, shape.channels),
    )
    return tf.ensure_shape(_stretch(image, shape), (shape.height, shape.width, shape.channels))


def _decode_jpeg(jpeg: Any, shape: ImageShape) -> Any:
    """Upright pixels, float32 (h, w, C), at the smallest of the decoder's scales that is not below the target."""
    orientation = jpeg_orientation(jpeg)
    full = tf.io.extract_jpeg_shape(jpeg)[:2]
    target = tf.where(orientation >= 5, (shape.width, shape.height), (shape.height, shape.width))
    divisors = tf.constant(_DIVISORS)
    fits = tf.reduce_all((full + divisors[:, None] - 1) // divisors[:, None] >= target, axis=1)
    choice = tf.reduce_min(tf.where(fits, tf.range(len(_DIVISORS)), len(_DIVISORS) - 1))
    decoders = [lambda by=by: _decode_scaled(jpeg, by, shape.channels) for by in _DIVISORS]
    return _upright(tf.switch_case(choice, decoders), orientation)


def _decode_scaled(jpeg: Any, divisor: int, channels: int) -> Any:
    # The default DCT is libjpeg-turbo's fast one, which is off by up to 5.
    image = tf.io.decode_jpeg(jpeg, channels=channels, ratio=divisor, dct_method="INTEGER_ACCURATE")
    return tf.cast(image, tf.float32)


def _decode_other(image_bytes: Any, channels: int) -> Any:
    """PNG, GIF (first frame), BMP and still WebP as float32 (h, w, C), alpha dropped."""
    rgb = tf.case(
        [
            (tf.strings.substr(image_bytes, 0, 2) == b"BM", lambda: _decode_bmp(image_bytes)),
            (_is_still_webp(image_bytes), lambda: _rgb(tf.io.decode_webp(image_bytes)[0])),  # its only frame
        ],
        # Always three channels: TensorFlow 2.21 corrupts its heap on an animated WebP when it may choose their number.
        default=lambda: _rgb(tf.io.decode_image(image_bytes, channels=3, expand_animations=False)),
    )
    image = tf.cast(rgb, tf.float32)
    return image if channels == 3 else tf.round(tf.reduce_sum(image * _GREY_WEIGHTS, axis=-1, keepdims=True))


def _decode_bmp(bmp: Any) -> Any:
    """uint8 (h, w, 3). TensorFlow's decoder gives the places in a palette as if they were greys.

    Source: BITMAPINFOHEADER; its size at byte 14, bits a pixel at 28, compression at 30, colours of the palette at 46.
    """
    # Too few bytes are the decoder's to refuse.
    header = tf.cast(tf.io.decode_raw(tf.strings.substr(bmp + b"\0" * 50, 14, 36), tf.uint8), tf.int32)
    header_size, compression = header[0], header[16]
    with tf.control_dependencies([tf.debugging.Assert(compression != 1, ["the BMP is compressed"])]):
        image = tf.ensure_shape(tf.io.decode_bmp(bmp), (None, None, None))
    num_colours = header[32] + 256 * header[33]
    palette_bytes = 4 * tf.where(num_colours == 0, 256, num_colours)  # blue, green, red and nothing

    def from_palette() -> Any:
        palette = tf.io.decode_raw(tf.strings.substr(bmp, 14 + header_size, palette_bytes), tf.uint8)
        return tf.gather(tf.reshape(palette, (-1, 4))[:, 2::-1], tf.cast(image[..., 0], tf.int32))

    return tf.cond(tf.shape(image)[-1] == 1, from_palette, lambda: _rgb(image))


def _is_still_webp(image_bytes: Any) -> Any:
    """Whether this is a WebP file without the animation flag. Source: RFC 9649, 2.7: VP8X, its flags at byte 20."""
    if not hasattr(tf.io, "decode_webp"):  # new in TensorFlow 2.21
        return tf.constant(False)
    is_webp = tf.strings.regex_full_match(tf.strings.substr(image_bytes, 0, 16), r"(?s)RIFF\C{4}WEBPVP8[ LX]")
    flags = tf.io.decode_raw(tf.strings.substr(image_bytes, 20, 1), tf.uint8)
    is_extended = tf.strings.substr(image_bytes, 15, 1) == b"X"
    return is_webp & ~(is_extended & tf.reduce_any(tf.bitwise.bitwise_and(flags, 2) != 0))


def _rgb(image: Any) -> Any:
    """The first three of 3 or 4 channels, or grey three times, as uint8 (h, w, 3)."""
    image = tf.ensure_shape(image, (None, None, None))
    return tf.cond(tf.shape(image)[-1] >= 3, lambda: image[..., :3], lambda: tf.repeat(image[..., :1], 3, axis=-1))


def _stretch(image: Any, shape: ImageShape) -> Any:
    """As cnnsvc.stretch: columns before rows, but a side that shrinks before one that grows; after each a half up."""
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    rows_first = (height < shape.height) & (width > shape.width)
    one_side = tf.where(rows_first, (height, shape.width), (shape.height, width))
    for size in (one_side, (shape.height, shape.width)):
        image = tf.floor(tf.image.resize(image[None], size, "bilinear", antialias=True)[0] + 0.5)
    return image


def _upright(image: Any, orientation: Any) -> Any:
    """The image turned as EXIF orientation 1..8 asks; from 5 on rows and columns change places."""
    image = tf.cond(orientation >= 5, lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
    is_upside_down = tf.reduce_any(orientation == (3, 4, 7, 8))
    is_mirrored = tf.reduce_any(orientation == (2, 3, 6, 7))
    image = tf.cond(is_upside_down, lambda: image[::-1], lambda: image)
    return tf.cond(is_mirrored, lambda: image[:, ::-1], lambda: image)
