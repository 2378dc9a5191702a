"""Compressed bodies of requests, inflated within the limit of bodies and counted as held while that lasts."""

import asyncio
import zlib
from collections.abc import Iterator, Mapping
from typing import Final

from cnnsvc.errors import InvalidError, TooLargeError, UnsupportedError
from service.admission import Admission
from service.frontends.http_parameters import shown

_WINDOW_BITS: Final = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
_CHUNK_BYTES: Final = 256 * 1024
"""After which other calls have their turn."""


def content_coding(headers: Mapping[bytes, bytes]) -> str:
    """gzip or deflate; "" where the body comes as it is. Raises UnsupportedError for any other."""
    coding = headers.get(b"content-encoding", b"").decode("latin-1").strip().lower()
    if coding in ("", "identity"):
        return ""
    if coding not in _WINDOW_BITS:
        raise UnsupportedError(f"content encoding {shown(coding)} is not offered; allowed are gzip, deflate, identity")
    return coding


async def inflate(body: bytes, coding: str, admission: Admission, limit_bytes: int) -> bytes:
    """The whole content. Raises InvalidError, TooLargeError, OverloadedError."""
    admission.require_room(0, len(body))
    admission.add(0, len(body))
    chunks: list[bytes] = []
    num_bytes = 0
    try:
        for chunk in _chunks(body, coding):
            if num_bytes + len(chunk) > limit_bytes:
                raise TooLargeError(
                    f"the body has at least {num_bytes + len(chunk)} bytes inflated; allowed are {limit_bytes}"
                )
            admission.require_room(0, len(chunk))
            admission.add(0, len(chunk))
            num_bytes += len(chunk)
            chunks.append(chunk)
            if len(chunk) == _CHUNK_BYTES:
                await asyncio.sleep(0)
        return b"".join(chunks)
    except zlib.error as error:
        raise InvalidError(f"the body is not {coding}: {error}") from None
    finally:
        admission.release(0, len(body) + num_bytes)


def _chunks(body: bytes, coding: str) -> Iterator[bytes]:
    """Raises InvalidError where it ends too early or too late, zlib.error."""
    inflater = zlib.decompressobj(_WINDOW_BITS[coding])
    view = memoryview(body)
    for begin in range(0, len(body), _CHUNK_BYTES):  # what is left of a piece is copied each time
        left: bytes | memoryview = view[begin : begin + _CHUNK_BYTES]
        while left:
            if inflater.eof:
                raise InvalidError(f"more bytes came behind the end of the {coding} body")
            yield inflater.decompress(left, _CHUNK_BYTES)
            left = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
    while chunk := inflater.decompress(b"", _CHUNK_BYTES) if not inflater.eof else b"":
        yield chunk
    if not inflater.eof:
        raise InvalidError(f"the {coding} body ends before its end")
