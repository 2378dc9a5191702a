import asyncio
import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnsvc.errors import CnnsvcError, OverloadedError, UnsupportedError
from service.admission import Admission
from service.frontends.http_body import BodyForm, body_form, read_body, read_images
from tests.service.frontends.http_door import until

FORM_HEADERS = {b"content-type": b'multipart/form-data; boundary="a b"'}
MAX_IMAGES = 3


def encode_form(images: list[bytes]) -> bytes:
    head = b'--a b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
    return b"".join(head + image + b"\r\n" for image in images) + b"--a b--\r\n"


IMAGES = st.lists(st.binary(max_size=40).filter(lambda image: b"--a b" not in image), min_size=1, max_size=MAX_IMAGES)


@given(IMAGES)
def test_forms_keep_every_byte(images: list[bytes]) -> None:
    """Whatever bytes a file has, line ends and dashes included, comes out of a form as it went in."""
    assert read_images(BodyForm.MULTIPART, FORM_HEADERS, encode_form(images), {}, MAX_IMAGES) == images


@given(IMAGES)
def test_json_keeps_every_byte(images: list[bytes]) -> None:
    """Whatever bytes an image has comes out of base64 as it went in."""
    body = msgspec.json.encode({"images": [base64.b64encode(image).decode("ascii") for image in images]})
    assert read_images(BodyForm.JSON, {}, body, {}, MAX_IMAGES) == images


@given(
    form=st.sampled_from(BodyForm),
    body=st.binary(max_size=200) | IMAGES.map(encode_form),
    cut=st.integers(min_value=0, max_value=200),
    boundary=st.binary(max_size=300),
)
def test_hostile_bodies_are_refused_by_kind(form: BodyForm, body: bytes, cut: int, boundary: bytes) -> None:
    """Any bytes under any boundary are read or refused as the caller's error; nothing else is raised."""
    for content_type in (FORM_HEADERS[b"content-type"], b"multipart/form-data; boundary=" + boundary):
        try:
            images = read_images(form, {b"content-type": content_type}, body[:cut], {}, MAX_IMAGES)
        except CnnsvcError:
            continue
        assert 1 <= len(images) <= MAX_IMAGES


@given(st.binary(max_size=60), st.binary(max_size=20))
def test_any_content_type_has_a_form_or_is_refused(content_type: bytes, coding: bytes) -> None:
    """Headers of any bytes never break the reading of them."""
    try:
        form = body_form({b"content-type": content_type, b"content-encoding": coding})
    except UnsupportedError:
        return
    assert form in BodyForm


@pytest.mark.parametrize("num_chunks", [1, 2, 5])
async def test_bodies_are_joined(num_chunks: int) -> None:
    """A body is the same in however many pieces it comes."""
    body = bytes(range(100))
    size = -(-len(body) // num_chunks)
    messages = [
        {"type": "http.request", "body": body[start : start + size], "more_body": start + size < len(body)}
        for start in range(0, len(body), size)
    ]

    async def receive() -> dict[str, object]:
        return messages.pop(0)

    admission = Admission(limit_images=1, limit_bytes=100)
    assert await read_body(receive, admission, limit_bytes=100, timeout_ms=1000) == body


async def test_a_body_is_held_as_it_comes() -> None:
    """Only what has come counts, however much there will be; once it is there it is the caller's to count."""
    admission = Admission(limit_images=1, limit_bytes=100)
    pieces = asyncio.Queue[bytes]()

    async def receive() -> dict[str, object]:
        piece = await pieces.get()
        return {"type": "http.request", "body": piece, "more_body": bool(piece)}

    reading = asyncio.create_task(read_body(receive, admission, limit_bytes=1000, timeout_ms=5000))
    for num_bytes in (30, 60):
        pieces.put_nowait(bytes(30))
        await until(lambda expected=num_bytes: admission.num_bytes == expected)  # type: ignore[misc]
    pieces.put_nowait(b"")
    assert await reading == bytes(60)
    assert admission.num_bytes == 0


async def test_a_body_beyond_what_may_be_held_is_refused() -> None:
    """The piece that finds no room ends the body as overloaded, and what had come of it is let go."""
    admission = Admission(limit_images=1, limit_bytes=100)
    admission.add(0, 50)

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": bytes(30), "more_body": True}

    with pytest.raises(OverloadedError, match="30 bytes came and 80 bytes are held; the limit is 100"):
        await read_body(receive, admission, limit_bytes=1000, timeout_ms=1000)
    assert admission.num_bytes == 50
