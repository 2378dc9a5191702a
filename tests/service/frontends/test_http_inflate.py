"""Compressed bodies."""

import gzip
import zlib
from collections.abc import Callable

import pytest

from cnnsvc.errors import InvalidError, OverloadedError, TooLargeError, UnsupportedError
from service.admission import Admission
from service.frontends.http_inflate import content_coding, inflate

LIMIT_BYTES = 1_000_000
CODINGS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress}


def admission(limit_bytes: int = 4 * LIMIT_BYTES) -> Admission:
    return Admission(limit_images=1, limit_bytes=limit_bytes)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("content", [b"", b"x", bytes(range(256)) * 3000, bytes(LIMIT_BYTES)])
async def test_contents_come_back(coding: str, content: bytes) -> None:
    """Whole, up to the limit, and nothing stays counted as held."""
    held = admission()
    assert await inflate(CODINGS[coding](content), coding, held, LIMIT_BYTES) == content
    assert held.num_bytes == 0


@pytest.mark.parametrize("coding", CODINGS)
async def test_a_bomb_is_refused_before_it_is_large(coding: str) -> None:
    """Little more than the limit is ever held, however much the body says that it becomes."""
    held = admission()
    seen: list[int] = []
    add = held.add

    def note(num_images: int, num_bytes: int) -> None:
        add(num_images, num_bytes)
        seen.append(held.num_bytes)

    held.add = note  # type: ignore[method-assign]
    bomb = CODINGS[coding](bytes(100 * LIMIT_BYTES))
    assert len(bomb) < LIMIT_BYTES
    with pytest.raises(TooLargeError, match=f"allowed are {LIMIT_BYTES}"):
        await inflate(bomb, coding, held, LIMIT_BYTES)
    assert max(seen) <= LIMIT_BYTES + len(bomb)
    assert held.num_bytes == 0


async def test_inflated_bytes_count_as_held() -> None:
    """What does not fit beside what is held is refused as overload, and released."""
    held = admission(500_000)
    with pytest.raises(OverloadedError):
        await inflate(gzip.compress(bytes(600_000)), "gzip", held, LIMIT_BYTES)
    assert held.num_bytes == 0


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("spoil", [lambda body: body[:-1], lambda body: body[: len(body) // 2], lambda body: b""])
async def test_bodies_cut_short(coding: str, spoil: Callable[[bytes], bytes]) -> None:
    """They are the caller's fault."""
    with pytest.raises(InvalidError, match="ends before its end"):
        await inflate(spoil(CODINGS[coding](bytes(range(256)) * 3000)), coding, admission(), LIMIT_BYTES)


@pytest.mark.parametrize("coding", CODINGS)
async def test_what_is_not_compressed_or_goes_on_behind_the_end(coding: str) -> None:
    """Neither is guessed at."""
    with pytest.raises(InvalidError, match=f"not {coding}"):
        await inflate(b'{"inputs": []}', coding, admission(), LIMIT_BYTES)
    with pytest.raises(InvalidError, match="behind the end"):
        await inflate(CODINGS[coding](b"x") + b"more", coding, admission(), LIMIT_BYTES)


def test_codings() -> None:
    """Two and none are offered, in any case; another one is named beside them."""
    for name, coding in ((b"GZip ", "gzip"), (b"x-gzip", "x-gzip"), (b"deflate", "deflate"), (b"identity", "")):
        assert content_coding({b"content-encoding": name}) == coding
    assert content_coding({}) == ""
    for name in (b"br", b"gzip, gzip"):
        with pytest.raises(UnsupportedError, match="allowed are gzip, deflate"):
            content_coding({b"content-encoding": name})
