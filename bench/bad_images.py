"""Images that nobody should send: broken, truncated, or small files that claim or become much."""

import struct
import zlib

import numpy as np
from PIL import Image

from tests.encoded import encode, scene

CLAIMED = 30_000
"""Pixels along each side that headers claim."""
CLAIMED_WEBP = 16_383
"""As many as the lossy WebP format can say."""


def awkward_images() -> dict[str, tuple[bytes, str]]:
    """By what it is: the file, and the kind of the refusal or "ok"."""
    jpeg, png = encode("JPEG"), encode("PNG")
    return {
        "not an image": (bytes(range(256)) * 8, "invalid"),
        "text named photo.jpg": (b"These are words, not a photograph.\n" * 20, "invalid"),
        "zero bytes": (b"", "invalid"),
        "truncated JPEG, header only": (jpeg[:300], "invalid"),
        "truncated JPEG, half of it": (jpeg[: len(jpeg) // 2], "invalid"),
        "truncated PNG": (png[: len(png) // 2], "invalid"),
        "JPEG claims 30000×30000": (jpeg_claiming(CLAIMED, CLAIMED), "too_large"),
        "PNG claims 30000×30000": (png_claiming(CLAIMED, CLAIMED), "too_large"),
        "GIF claims 30000×30000": (gif(1, CLAIMED), "too_large"),
        "BMP claims 30000×30000": (bmp_claiming(CLAIMED, CLAIMED), "too_large"),
        "WebP (VP8) claims 16383×16383": (webp_claiming(CLAIMED_WEBP), "too_large"),
        "WebP (VP8L) claims 16383×16383": (lossless_webp_claiming(CLAIMED_WEBP), "too_large"),
        "WebP (VP8X) animation on 16383×16383": (animated_webp_claiming(CLAIMED_WEBP), "too_large"),
        "PNG of 1200×1200 inflates a thousand-fold": (inflating_png(), "ok"),
        "PNG of 8×8 with 64 MiB behind its pixels": (overlong_png(), "ok"),
        "PNG text that inflates to 64 MiB": (png_text_bomb(), "invalid"),
        "GIF of 10,000 frames": (gif(10_000, 16), "ok"),
        "JPEG of 500 scans": (scan_bomb(), "too_large"),
    }


def jpeg_claiming(height: int, width: int) -> bytes:
    jpeg = bytearray(encode("JPEG"))
    struct.pack_into(">HH", jpeg, jpeg.index(b"\xff\xc0") + 5, height, width)
    return bytes(jpeg)


def png_claiming(height: int, width: int) -> bytes:
    png = encode("PNG")
    size_end = 8 + 25
    return png[:8] + _png_chunk(b"IHDR", struct.pack(">II", width, height) + png[24:29]) + png[size_end:]


def bmp_claiming(height: int, width: int) -> bytes:
    bmp = bytearray(encode("BMP"))
    struct.pack_into("<ii", bmp, 18, width, height)
    return bytes(bmp)


def webp_claiming(side: int) -> bytes:
    webp = bytearray(encode("WEBP"))
    struct.pack_into("<HH", webp, webp.index(b"\x9d\x01\x2a") + 3, side, side)
    return bytes(webp)


def lossless_webp_claiming(side: int) -> bytes:
    webp = bytearray(encode("WEBP", lossless=True))
    struct.pack_into("<I", webp, webp.index(b"VP8L") + 9, (side - 1) | (side - 1) << 14)
    return bytes(webp)


def animated_webp_claiming(side: int) -> bytes:
    other = Image.fromarray(scene(seed=1))
    webp = bytearray(encode("WEBP", save_all=True, append_images=[other]))
    at = webp.index(b"VP8X") + 12
    webp[at : at + 6] = (side - 1).to_bytes(3, "little") * 2
    return bytes(webp)


def inflating_png() -> bytes:
    return encode("PNG", np.zeros((1200, 1200, 3), np.uint8))


def overlong_png() -> bytes:
    header = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    return _png(_png_chunk(b"IHDR", header), _png_chunk(b"IDAT", zlib.compress(bytes(64 * 1024 * 1024))))


def png_text_bomb() -> bytes:
    png = encode("PNG")
    text = _png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(64 * 1024 * 1024)))
    return png[:33] + text + png[33:]


def gif(num_frames: int, side: int) -> bytes:
    """Frames of one pixel on a screen of side x side."""
    screen = struct.pack("<HHBBB", side, side, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return b"GIF89a" + screen + frame * num_frames + b";"


def scan_bomb() -> bytes:
    jpeg = encode("JPEG", scene(200, 200), progressive=True)
    last = jpeg.rindex(b"\xff\xda")
    return jpeg[:last] + jpeg[last:-2] * 500 + b"\xff\xd9"


def _png(*chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + _png_chunk(b"IEND", b"")


def _png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
