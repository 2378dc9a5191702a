import base64
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest

from cnnsvc.errors import (
    EngineError,
    ImageError,
    LateError,
    NotFoundError,
    NotReadyError,
    OverloadedError,
    TooLargeError,
)
from service.logs import RequestIdFilter
from tests.fakes import ANSWER, FakePredictor
from tests.service.frontends.http_door import BODY_LIMIT_BYTES, MAX_IMAGES, Door, open_door

IMAGE = b"\x89PNG not really"
URL = "/api/v1/classify"


async def post(door: Door, url: str = URL, **options: Any) -> httpx.Response:
    async with door.client() as client:
        return await client.post(url, **options)


async def refusal(door: Door, url: str = URL, **options: Any) -> tuple[int, str]:
    """Status and detail of a refused call, which must be a problem document and must not have reached the predictor."""
    response = await post(door, url, **options)
    assert response.headers["content-type"] == "application/problem+json"
    assert door.predictor.queries == []
    problem = response.json()
    assert door.num_requests("classify", problem["kind"]) == 1
    assert problem["status"] == response.status_code
    assert problem["request_id"] == response.headers["x-request-id"]
    return response.status_code, problem["detail"]


async def test_the_answer_names_model_version_classes_and_timings() -> None:
    """What the predictor answered comes back as documented, and is counted under the model that answered."""
    door = open_door()
    response = await post(door, content=IMAGE)
    assert response.status_code == 200
    assert response.json() == {
        "model": "flowers",
        "version": 3,
        "results": [
            {"classes": [{"name": "rose", "score": 0.75}, {"name": "tulip", "score": 0.25}], "rejected": False}
        ],
        "timings": {"decode_ms": 0.5, "queue_ms": 0.25, "inference_ms": 2.0, "total_ms": 3.0},
    }
    assert door.num_requests("classify", "ok", "flowers", "3") == 1


async def test_images_of_no_class_are_told() -> None:
    """Each result says whether its image is rejected; the classes stay."""
    answer = replace(ANSWER, results=ANSWER.results * 3, rejected=frozenset([1]))
    response = await post(open_door(FakePredictor(answer)), content=IMAGE)
    assert [one["rejected"] for one in response.json()["results"]] == [False, True, False]
    assert all(one["classes"][0]["name"] == "rose" for one in response.json()["results"])


@pytest.mark.parametrize(
    "content_type",
    ["image/jpeg", "IMAGE/PNG; a=b", "application/octet-stream", "application/x-www-form-urlencoded", None],
)
async def test_raw_bodies(content_type: str | None) -> None:
    """The bytes of one image under any image type, curl's default one, or none reach the predictor unchanged."""
    door = open_door()
    headers = {"content-type": content_type} if content_type else {}
    response = await post(door, f"{URL}?model=flowers&version=2&top_k=1", content=IMAGE, headers=headers)
    assert response.status_code == 200
    [query] = door.predictor.queries
    assert (query.images, query.model, query.version, query.top_k) == ([IMAGE], "flowers", 2, 1)


async def test_parameters_are_absent_by_default() -> None:
    """No parameter means the only model, its default version and the default number of classes."""
    door = open_door()
    await post(door, content=IMAGE)
    [query] = door.predictor.queries
    assert (query.model, query.version, query.top_k) == ("", 0, None)


@pytest.mark.parametrize(
    "options",
    [
        {"url": f"{URL}?label=canary", "content": IMAGE},
        {"files": [("a", ("1.jpg", IMAGE))], "data": {"label": "canary"}},
        {"json": {"image": base64.b64encode(IMAGE).decode(), "label": "canary"}},
    ],
    ids=["query", "form", "json"],
)
async def test_labels(options: dict[str, Any]) -> None:
    """A label goes where the other parameters go."""
    door = open_door()
    assert (await post(door, **options)).status_code == 200
    [query] = door.predictor.queries
    assert (query.version, query.label) == (0, "canary")


async def test_multipart_files_in_order() -> None:
    """Every file of a form is an image, in order, whatever its field is called; text fields are parameters."""
    door = open_door()
    images = [bytes([index]) * 50 + b"\r\n--x\r\n" for index in range(3)]
    files = [("a", ("1.jpg", images[0])), ("b", ("2.jpg", images[1])), ("model", ("3.jpg", images[2]))]
    response = await post(door, files=files, data={"model": "flowers", "version": "7", "top_k": "2"})
    assert response.status_code == 200
    [query] = door.predictor.queries
    assert (query.images, query.model, query.version, query.top_k) == (images, "flowers", 7, 2)


@pytest.mark.parametrize("fields", [{"image": IMAGE}, {"images": [IMAGE, b"second"]}])
async def test_json_bodies(fields: dict[str, Any]) -> None:
    """Base64 images in JSON, one or many, with parameters beside them."""
    door = open_door()
    expected = fields.get("images", [fields.get("image")])
    encoded = {
        name: base64.b64encode(value).decode()
        if isinstance(value, bytes)
        else [base64.b64encode(image).decode() for image in value]
        for name, value in fields.items()
    }
    response = await post(door, json=encoded | {"model": "flowers", "version": 2, "top_k": 3})
    assert response.status_code == 200
    [query] = door.predictor.queries
    assert (query.images, query.model, query.version, query.top_k) == (expected, "flowers", 2, 3)


@pytest.mark.parametrize(
    ("query_string", "expected"),
    [
        ("version=abc", "version is 'abc'"),
        ("version=-1", "version is '-1'"),
        ("version=1_0", "version is '1_0'"),
        ("version=%D9%A3", "version is '٣'"),
        ("version=9223372036854775808", "expected a whole number from 0 to 9223372036854775807"),
        ("version=" + "9" * 5000, "version is '999"),
        ("version=", "version is ''"),
        ("top_k=x", "top_k is 'x'"),
        ("top_k=--1", "top_k is '--1'"),
        ("topk=3", "'topk' is unknown; allowed are model, version, label, top_k"),
        ("top_k=3&top_k=4", "top_k was given twice"),
        ("&".join(f"a{index}=1" for index in range(20)), "more than 16 parameters"),
    ],
)
async def test_bad_query_strings_are_named(query_string: str, expected: str) -> None:
    """A parameter that is malformed, repeated or unknown is refused with what came and what is allowed."""
    status, detail = await refusal(open_door(), f"{URL}?{query_string}", content=IMAGE)
    assert status == 400
    assert expected in detail
    assert len(detail) < 300


@pytest.mark.parametrize("value", ["0", "-5", "soon", "1.5"])
async def test_bad_timeouts_are_named(value: str) -> None:
    """The timeout header is a positive whole number of milliseconds or an error."""
    status, detail = await refusal(open_door(), content=IMAGE, headers={"X-Request-Timeout-Ms": value})
    assert status == 400
    assert f"X-Request-Timeout-Ms is '{value}'" in detail


@pytest.mark.parametrize("top_k", [0, -1])
async def test_the_model_judges_top_k(top_k: int) -> None:
    """A top_k out of range reaches the predictor, whose refusal names the model's number of classes."""
    door = open_door()
    await post(door, f"{URL}?top_k={top_k}", content=IMAGE)
    assert [query.top_k for query in door.predictor.queries] == [top_k]


async def test_deadlines_follow_the_header_up_to_the_limit() -> None:
    """The caller may shorten the service's time limit, never lengthen it."""
    deadlines = []
    for timeout_ms in ("1000", "99999999"):
        door = open_door()
        await post(door, content=IMAGE, headers={"X-Request-Timeout-Ms": timeout_ms})
        deadlines.append(door.predictor.queries[0].deadline)
    assert deadlines[0] is not None
    assert deadlines[1] is not None
    assert 3.5 < deadlines[1] - deadlines[0] < 4.5


@pytest.mark.parametrize("content_type", ["text/html", "application/xml", "multipart/mixed; boundary=x", "x" * 4000])
async def test_other_content_types_are_unsupported(content_type: str) -> None:
    """A content type that is not offered is refused with those that are."""
    status, detail = await refusal(open_door(), content=IMAGE, headers={"content-type": content_type})
    assert status == 415
    assert "multipart/form-data and application/json" in detail
    assert len(detail) < 400


async def test_compressed_bodies_are_unsupported() -> None:
    """Compression, which could unpack beyond every limit, is refused by name."""
    status, detail = await refusal(open_door(), content=IMAGE, headers={"content-encoding": "gzip"})
    assert status == 415
    assert "'gzip' is not offered; allowed is identity" in detail


@pytest.mark.parametrize("content_type", ["image/png", "application/json", "multipart/form-data; boundary=x"])
async def test_empty_bodies(content_type: str) -> None:
    """A body without a byte is the caller's error, not an undecodable image."""
    status, detail = await refusal(open_door(), content=b"", headers={"content-type": content_type})
    assert status == 400
    assert "the body is empty" in detail


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"\xff\xfe", "malformed"),
        (b"{", "not a classification request"),
        (b"[]", "Expected `object`, got `array`"),
        (b"{}", "either image or images"),
        (b'{"image": "aGk=", "images": ["aGk="]}', "either image or images"),
        (b'{"images": []}', "length >= 1"),
        (b'{"image": "not base64!"}', "Invalid base64 encoded string - at `$.image`"),
        (b'{"image": "aGk="} trailing', "trailing characters"),
        (b'{"image": "aGk=", "topk": 1}', "unknown field `topk`"),
        (b'{"image": "aGk=", "version": "2"}', "Expected `int`, got `str` - at `$.version`"),
        (b'{"image": "aGk=", "top_k": 0}', "$.top_k"),
        (b'{"image": "aGk=", "top_k": 99999999999999999999}', "top_k"),
    ],
)
async def test_bad_json_is_named(body: bytes, expected: str) -> None:
    """JSON is read strictly: unknown fields, wrong types and bad base64 are refused with their place."""
    status, detail = await refusal(open_door(), content=body, headers={"content-type": "application/json"})
    assert status == 400
    assert expected in detail


def form(*parts: tuple[str, bytes], end: bytes = b"--x--\r\n") -> dict[str, Any]:
    """A form with a boundary x; each part is its headers and its content."""
    body = b"".join(b"--x\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n" for head, content in parts)
    return {"content": body + end, "headers": {"content-type": "multipart/form-data; boundary=x"}}


FILE = 'Content-Disposition: form-data; name="f"; filename="f.jpg"'
FIELD = 'Content-Disposition: form-data; name="{}"'


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"content": b"--x", "headers": {"content-type": "multipart/form-data"}}, "names no boundary"),
        (form((FILE, IMAGE), end=b""), "ends before its closing boundary"),
        (form(("no colon here", IMAGE)), "malformed"),
        (form((FIELD.format("top_k"), b"1")), "has no file"),
        (form((FIELD.format("picture"), b"1"), (FILE, IMAGE)), "form field 'picture' is neither a file"),
        (form((FIELD.format("top_k"), b"x"), (FILE, IMAGE)), "top_k is 'x'"),
        (form((FIELD.format("top_k"), b"1"), (FIELD.format("top_k"), b"2"), (FILE, IMAGE)), "top_k was given twice"),
        (form((FIELD.format("model"), b"m" * 2000), (FILE, IMAGE)), "has 2000 bytes; allowed are 1024"),
    ],
)
async def test_bad_forms_are_named(options: Mapping[str, Any], expected: str) -> None:
    """A malformed form, or one that says something unclear, is refused with the field that is wrong."""
    status, detail = await refusal(open_door(), **options)
    assert status == 400
    assert expected in detail


async def test_encoded_form_files_are_unsupported() -> None:
    """A file in base64 inside a form is refused, rather than read as an image that it is not."""
    status, detail = await refusal(open_door(), **form((f"{FILE}\r\nContent-Transfer-Encoding: base64", b"aGk=")))
    assert status == 415
    assert "transfer encoding 'base64'" in detail


async def test_a_form_image_needs_no_file_name() -> None:
    """A part that says it is an image is one."""
    door = open_door()
    await post(door, **form((f"{FIELD.format('picture')}\r\nContent-Type: image/png", IMAGE)))
    assert door.predictor.queries[0].images == [IMAGE]


async def test_a_parameter_in_query_and_body_is_refused() -> None:
    """Two places that could disagree are not weighed against each other."""
    status, detail = await refusal(open_door(), f"{URL}?top_k=1", json={"image": "aGk=", "top_k": 2})
    assert status == 400
    assert "top_k was given twice: '1' and '2'" in detail


async def test_too_many_images_are_refused_before_the_predictor() -> None:
    """The limit of images holds in forms and in JSON alike."""
    files = [("f", (f"{index}.jpg", IMAGE)) for index in range(MAX_IMAGES + 1)]
    for options in ({"files": files}, {"json": {"images": ["aGk="] * (MAX_IMAGES + 1)}}):
        status, detail = await refusal(open_door(), **options)
        assert status == 413
        assert str(MAX_IMAGES) in detail


async def test_too_large_bodies_name_both_sizes() -> None:
    """A body above the limit is refused, with what came and what is allowed."""
    status, detail = await refusal(open_door(), content=bytes(BODY_LIMIT_BYTES + 1))
    assert status == 413
    assert detail == f"the body has {BODY_LIMIT_BYTES + 1} bytes; allowed are {BODY_LIMIT_BYTES}"
    assert (await post(open_door(), content=bytes(BODY_LIMIT_BYTES))).status_code == 200


async def test_overload_is_told_before_the_body_is_read() -> None:
    """A raw image is refused by its headers, with when to come again; nothing of its body is asked for."""
    door = open_door()
    door.predictor.room_error = OverloadedError("much waits", retry_after_seconds=4.5)

    num_read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal num_read
        num_read += 1
        yield IMAGE

    response = await post(door, content=body(), headers={"content-type": "image/png"})
    assert num_read == 0
    assert (response.status_code, response.headers["retry-after"]) == (429, "5")
    assert door.predictor.queries == []
    assert door.num_requests("classify", "overloaded") == 1


@pytest.mark.parametrize("options", [{"files": {"f": ("f", IMAGE)}}, {"json": {"image": "aGk="}}, {"content": IMAGE}])
async def test_held_bytes_refuse_every_form(options: dict[str, Any]) -> None:
    """Where no byte more may be held, any body is refused as overloaded and nothing of it stays held."""
    door = open_door()
    held = 1024 * 1024
    door.predictor.admission.add(0, held)
    status, detail = await refusal(door, **options)
    assert status == 429
    assert "queue_limit_bytes" in detail
    assert door.predictor.admission.num_bytes == held


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (ImageError("11 bytes are not an image"), 400, None),
        (NotFoundError("model 'x' is not served"), 404, None),
        (TooLargeError("4 x 4 pixels"), 413, None),
        (NotReadyError("models are still being loaded"), 503, "1"),
        (OverloadedError("the queue is full"), 429, "1"),
        (OverloadedError("the queue is full", retry_after_seconds=0.02), 429, "1"),
        (OverloadedError("the queue is full", retry_after_seconds=2.01), 429, "3"),
        (LateError("the deadline passed"), 504, None),
    ],
)
async def test_errors_become_problems(error: Exception, status: int, retry_after: str | None) -> None:
    """Each kind has its status, its own words as detail, and a Retry-After where time may cure it."""
    door = open_door(FakePredictor(error))
    response = await post(door, content=IMAGE, headers={"X-Request-Id": "call-1"})
    assert response.status_code == status
    assert response.headers.get("retry-after") == retry_after
    problem = response.json()
    assert problem["type"] == "about:blank"
    assert problem["detail"] == str(error)
    assert problem["request_id"] == "call-1"
    assert door.num_requests("classify", problem["kind"]) == 1


@pytest.mark.parametrize("error", [ZeroDivisionError("secret"), EngineError("/secret/path broke")])
async def test_our_own_faults_keep_their_words(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """What is our fault comes as fixed text with the request id; the log has the error under the same id."""
    door = open_door(FakePredictor(error))
    with caplog.filtering(RequestIdFilter()):
        response = await post(door, content=IMAGE, headers={"X-Request-Id": "call-2"})
    assert response.status_code == 500
    assert "secret" not in response.text
    assert "call-2" in response.json()["detail"]
    [record] = caplog.records
    assert record.name == "cnnsvc.http"
    assert vars(record)["request_id"] == "call-2"
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    assert door.num_requests("classify", "internal") == 1
