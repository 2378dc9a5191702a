"""POST /v2/models/{name}/infer over HTTP: every form of a body, and every way in which it may be wrong."""

import base64
import dataclasses
import gzip
import json
import struct
import tracemalloc
from typing import Any

import httpx
import numpy as np
import pytest

from cnnsvc.errors import ImageError, OverloadedError
from service.frontends.oip_json import read_data, read_request
from tests.bundles import CLASS_NAMES, SHAPE
from tests.encoded import encode
from tests.fakes import FakePredictor
from tests.service.frontends.http_door import BODY_LIMIT_BYTES, Door
from tests.service.frontends.oip_door import SCORES, answer_of, open_door

PATH = "/v2/models/flowers/infer"
LENGTH = "Inference-Header-Content-Length"
IMAGE = encode("PNG")
PIXELS = np.random.default_rng(0).integers(0, 256, (1, SHAPE.height, SHAPE.width, SHAPE.channels), np.uint8)


def described(**fields: Any) -> dict[str, Any]:
    return {"name": "image", "datatype": "UINT8", "shape": list(PIXELS.shape), **fields}


def encoded_in_json(**fields: Any) -> dict[str, Any]:
    data = [base64.b64encode(IMAGE).decode()]
    return described(datatype="BYTES", shape=[1], parameters={"content_type": "base64"}, data=data) | fields


async def post(door: Door, content: Any, headers: dict[str, str] | None = None, path: str = PATH) -> httpx.Response:
    if not isinstance(content, bytes):
        content = json.dumps(content).encode()
    async with door.client() as client:
        return await client.post(path, content=content, headers=headers or {})


async def post_binary(door: Door, request: dict[str, Any], binary: bytes) -> httpx.Response:
    text = json.dumps(request).encode()
    return await post(door, text + binary, {LENGTH: str(len(text))})


@pytest.mark.parametrize(
    "given",
    [
        described(data=PIXELS.tolist()),
        described(data=PIXELS.ravel().tolist()),
        described(datatype="FP32", data=PIXELS.astype(float).tolist()),
        described(datatype="FP32", data=PIXELS.ravel().tolist(), parameters=None),
        described(data=PIXELS.transpose(0, 3, 1, 2).tolist(), shape=[1, 3, SHAPE.height, SHAPE.width]),
    ],
)
async def test_pixels_in_json(given: dict[str, Any]) -> None:
    """Flat or nested, of either type and order: the model gets the same pixels, and the answer stands in JSON."""
    door = open_door()
    response = await post(door, {"inputs": [given], "id": "mine", "model_name": "ignored"})
    assert response.status_code == 200, response.text
    (query,) = door.predictor.queries
    assert np.array_equal(query.images[0], PIXELS[0])
    assert (query.model, query.version) == ("flowers", 2)
    answer = response.json()
    (output,) = answer.pop("outputs")
    assert answer == {"model_name": "flowers", "model_version": "2", "id": "mine"}
    assert np.array_equal(np.array(output.pop("data"), np.float32), SCORES[0])
    assert output == {"name": "probabilities", "datatype": "FP32", "shape": [1, 3]}
    assert door.num_requests("oip_infer", "ok", "flowers", "2") == 1


@pytest.mark.parametrize("shape", [[1], [1, 1]])
async def test_encoded_images_in_json(shape: list[int]) -> None:
    """base64, where the parameter says so, flat or nested."""
    data: Any = [base64.b64encode(IMAGE).decode()]
    door = open_door()
    response = await post(door, {"inputs": [encoded_in_json(shape=shape, data=[data] if len(shape) == 2 else data)]})
    assert response.status_code == 200, response.text
    assert door.predictor.queries[0].images == [IMAGE]


async def test_binary_data_both_ways() -> None:
    """Behind the JSON, as its length says; answered likewise where that is asked for, for all outputs or for one."""
    door = open_door()
    element = struct.pack("<I", len(IMAGE)) + IMAGE
    given = described(datatype="BYTES", shape=[1], parameters={"binary_data_size": len(element)})
    wanted: list[dict[str, Any]] = [
        {"parameters": {"binary_data_output": True}},
        {"outputs": [{"name": "probabilities", "parameters": {"binary_data": True}}]},
    ]
    for more in wanted:
        response = await post_binary(door, {"inputs": [given], **more}, element)
        assert response.headers["content-type"] == "application/octet-stream"
        length = int(response.headers[LENGTH])
        (output,) = json.loads(response.content[:length])["outputs"]
        assert output["parameters"] == {"binary_data_size": 12}
        assert "data" not in output
        assert np.array_equal(np.frombuffer(response.content[length:], "<f4"), SCORES[0])
    assert [query.images for query in door.predictor.queries] == [[IMAGE], [IMAGE]]


async def test_what_one_output_says_goes_before_what_is_said_of_all() -> None:
    """JSON for that one, although all were asked for in binary; a lone input need not say its size."""
    outputs = [{"name": "probabilities", "parameters": {"binary_data": False, "classification": 2}}]
    request = {"inputs": [described()], "parameters": {"binary_data_output": True}, "outputs": outputs}
    response = await post_binary(open_door(), request, PIXELS.tobytes())
    assert LENGTH not in response.headers
    (output,) = response.json()["outputs"]
    assert output == {
        "name": "probabilities",
        "datatype": "BYTES",
        "shape": [1, 2],
        "data": [f"0.7:1:{CLASS_NAMES[1]}", f"0.2:2:{CLASS_NAMES[2]}"],
    }


REJECTING = dataclasses.replace(answer_of(2), rejected=frozenset([1]))


async def test_none_of_the_classes_where_that_is_asked_for() -> None:
    """The output `rejected` comes where it is named, in its place, in JSON or behind it; else all is as it was."""
    door = open_door(FakePredictor(REJECTING))
    request = {"inputs": [encoded_in_json()]}
    (only,) = (await post(door, request)).json()["outputs"]
    assert only["name"] == "probabilities"
    outputs = [{"name": "rejected"}, {"name": "probabilities"}]
    rejected, scores = (await post(door, request | {"outputs": outputs})).json()["outputs"]
    assert rejected == {"name": "rejected", "datatype": "BOOL", "shape": [2], "data": [False, True]}
    assert scores == only


@pytest.mark.parametrize(
    ("names", "data"), [(["rejected", "probabilities"], False), (["probabilities", "rejected"], True)]
)
async def test_several_outputs_in_binary(names: list[str], data: bool) -> None:
    """Binary ones follow the JSON in their order; one that wants to stand in it does."""
    door = open_door(FakePredictor(REJECTING))
    outputs = [{"name": names[0]}, {"name": names[1], "parameters": {"binary_data": not data}}]
    request = {"inputs": [encoded_in_json()], "parameters": {"binary_data_output": True}, "outputs": outputs}
    response = await post(door, request)
    length = int(response.headers[LENGTH])
    first, second = json.loads(response.content[:length])["outputs"]
    raw = {"rejected": b"\x00\x01", "probabilities": SCORES.tobytes()}
    assert first["parameters"] == {"binary_data_size": len(raw[names[0]])}
    assert response.content[length:] == raw[names[0]] + (b"" if data else raw[names[1]])
    assert second.get("data") == ([False, True] if data else None)


async def test_the_bytes_of_one_image_alone() -> None:
    """A length of 0 says that there is no JSON; the room for it is asked for before it is read."""
    door = open_door()
    response = await post(door, IMAGE, {LENGTH: "0"})
    assert (response.status_code, response.json()["outputs"][0]["shape"]) == (200, [1, 3])
    assert door.predictor.queries[0].images == [IMAGE]
    door.predictor.room_error = OverloadedError("too much waits")
    assert (await post(door, IMAGE, {LENGTH: "0"})).status_code == 429


@pytest.mark.parametrize(("path", "version", "label"), [("1", 1, ""), ("stable", 0, "stable")])
async def test_versions_and_labels(path: str, version: int, label: str) -> None:
    """Either may stand in the path; pixels go to the version whose shape they were read by."""
    door = open_door()
    await post(door, {"inputs": [encoded_in_json()]}, path=f"/v2/models/flowers/versions/{path}/infer")
    await post(door, {"inputs": [described(data=PIXELS.tolist())]}, path=f"/v2/models/flowers/versions/{path}/infer")
    encoded, pixels = door.predictor.queries
    assert (encoded.version, encoded.label) == (version, label)
    assert (pixels.version, pixels.label) == (1, "")


async def test_a_compressed_body() -> None:
    """JSON and binary data together, with the length of the JSON as it is inflated."""
    door = open_door()
    text = json.dumps({"inputs": [described(parameters={"binary_data_size": PIXELS.size})]}).encode()
    body = gzip.compress(text + PIXELS.tobytes())
    response = await post(door, body, {LENGTH: str(len(text)), "content-encoding": "gzip"})
    assert response.status_code == 200, response.text
    assert np.array_equal(door.predictor.queries[0].images[0], PIXELS[0])
    bomb = gzip.compress(b" " * (2 * BODY_LIMIT_BYTES))
    refused = await post(door, bomb, {"content-encoding": "gzip"})
    assert (refused.status_code, "inflated" in refused.json()["error"]) == (413, True)
    assert (await post(door, text, {"content-encoding": "br"})).status_code == 415


async def test_a_time_limit() -> None:
    """In microseconds, the shorter one of it and of the server's own; 0 is none."""
    door = open_door()
    for timeout in (0, 1_000_000, 10**12):
        await post(door, {"inputs": [encoded_in_json()], "parameters": {"timeout": timeout, "priority": 1}})
    none, second, long = (query.deadline or 0 for query in door.predictor.queries)
    assert second < none - 3
    assert 0 <= long - none < 3


BINARY = PIXELS.tobytes()
REFUSALS: list[tuple[dict[str, Any], bytes, str]] = [
    ({"inputs": []}, b"", "0 inputs came; expected one"),
    ({"inputs": [encoded_in_json()] * 2}, b"", "2 inputs came; expected one"),
    ({}, b"", "missing required field `inputs`"),
    ({"inputs": [described(shape=None)]}, b"", "not an inference request"),
    ({"inputs": [described()]}, b"", "has no data"),
    ({"inputs": [described(data=None)]}, b"", "has no data"),
    ({"inputs": [described(data=[])]}, b"", "0 numbers came"),
    ({"inputs": [described(data={})]}, b"", "nested 0 deep; expected 1 or 4"),
    ({"inputs": [described(data="x" * 50)]}, b"", "nested 0 deep"),
    ({"inputs": [described(data=[[1]])]}, b"", "nested 2 deep"),
    ({"inputs": [described(data=["x" * 1000, *["y"] * 100])]}, b"", "Expected `int`, got `str`"),
    ({"inputs": [described(data=[1.5] * PIXELS.size)]}, b"", "Expected `int`, got `float`"),
    ({"inputs": [described(data=[True] * PIXELS.size)]}, b"", "Expected `int`, got `bool`"),
    ({"inputs": [described(data=[-1] * PIXELS.size)]}, b"", "from 0 to 255"),
    ({"inputs": [described(data=[10**30] * PIXELS.size)]}, b"", "not"),
    ({"inputs": [described(data=[1] * (PIXELS.size + 1))]}, b"", "2305 numbers came"),
    ({"inputs": [described(data=[[[[1, 2], [3]]]])]}, b"", "3 numbers came"),
    ({"inputs": [described(shape=[1, 1, 1, 1], data=[1])]}, b"", "expected [N, 24, 32, 3]"),
    ({"inputs": [described(datatype="FP32", data=[None] * PIXELS.size)]}, b"", "Expected `float`, got `null`"),
    ({"inputs": [described(datatype="FP32", data=[0.5] * PIXELS.size)]}, b"", "fractions of 1"),
    ({"inputs": [described(datatype="FP64", data=[1])]}, b"", "datatype 'FP64' is not offered"),
    ({"inputs": [encoded_in_json(parameters={})]}, b"", "content_type base64"),
    ({"inputs": [encoded_in_json(data=["no base64!"])]}, b"", "Invalid base64"),
    ({"inputs": [encoded_in_json(data=[[]])]}, b"", "length >= 1"),
    ({"inputs": [encoded_in_json(shape=[2])]}, b"", "1 elements came for the shape [2]"),
    ({"inputs": [encoded_in_json(shape=[5])]}, b"", "has 5 images; allowed are 4"),
    ({"inputs": [encoded_in_json()], "parameters": {"timeout": -1}}, b"", "microseconds"),
    ({"inputs": [encoded_in_json()], "parameters": {"timeout": 1.5}}, b"", "microseconds"),
    ({"inputs": [encoded_in_json()], "parameters": {"binary_data_output": 1}}, b"", "true or false"),
    ({"inputs": [encoded_in_json()], "parameters": {"a": [[]]}}, b"", "got `array` - at `$.parameters"),
    ({"inputs": [encoded_in_json(parameters=dict.fromkeys(map(str, range(10_001))))]}, b"", "allowed are 10000"),
    ({"inputs": [encoded_in_json()], "outputs": [{"name": "x"}]}, b"", "the model has one output"),
    ({"inputs": [described(parameters={"shared_memory_region": "a"})]}, b"", "shared memory"),
    ({"inputs": [described(parameters={"binary_data_size": len(BINARY) + 1})]}, BINARY, "says that it has 2305 bytes"),
    ({"inputs": [described(parameters={"binary_data_size": len(BINARY)})]}, b"", "and 0 are left"),
    ({"inputs": [described(parameters={"binary_data_size": 10})]}, BINARY, "2294 bytes came behind the JSON"),
    ({"inputs": [described(parameters={"binary_data_size": -1})]}, BINARY, "binary_data_size is '-1'"),
    ({"inputs": [described(parameters={"binary_data_size": True})]}, BINARY, "binary_data_size is 'True'"),
    ({"inputs": [described(parameters={"binary_data_size": 2304}, data=[1])]}, BINARY, "both in the JSON and behind"),
    ({"inputs": [described(data=PIXELS.tolist())]}, BINARY, "belong to no input"),
    ({"inputs": [described()]}, BINARY + b"x", "2305 bytes came for UINT8"),
    ({"inputs": [described(datatype="BYTES", shape=[1])]}, b"\xff\xff\xff\x7fabc", "says that it has 2147483647 bytes"),
]


@pytest.mark.parametrize(("request_", "binary", "words"), REFUSALS)
async def test_refusals(request_: dict[str, Any], binary: bytes, words: str) -> None:
    """4xx with the protocol's own error body, before the model hears of it; never a fault of ours."""
    door = open_door()
    response = await (post_binary(door, request_, binary) if binary else post(door, request_))
    assert 400 <= response.status_code < 500, response.text
    assert list(response.json()) == ["error"]
    assert words in response.json()["error"], response.text
    assert door.predictor.queries == []


@pytest.mark.parametrize(
    ("content", "headers", "words"),
    [
        (b"", {}, "the body is empty"),
        (b"", {LENGTH: "5"}, "the body is empty"),
        (b"{", {}, "not an inference request"),
        (b"\xff\xfe", {}, "not an inference request"),
        (b"[" * 100_000, {}, "not an inference request"),
        (b'{"inputs": ' + b"[" * 100_000, {}, "not an inference request"),
        (b"{}", {LENGTH: "3"}, "the body has 2 bytes"),
        (b"{}", {LENGTH: "-1"}, "expected a whole number"),
        (b"{}", {LENGTH: "1e9"}, "expected a whole number"),
        (b"{}", {LENGTH: "9" * 30}, "expected a whole number"),
        (b'{"inputs":[]}x', {LENGTH: "5"}, "not an inference request"),
    ],
)
async def test_bodies_that_are_none(content: bytes, headers: dict[str, str], words: str) -> None:
    """Likewise."""
    response = await post(open_door(), content, headers)
    assert (response.status_code, words in response.json()["error"]) == (400, True), response.text


async def test_errors_of_the_model_keep_their_status() -> None:
    """What is no image is 400, what is too much 429 with its header, what is unknown 404."""
    body = {"inputs": [encoded_in_json()]}
    refused = await post(open_door(FakePredictor(ImageError("not an image"))), body)
    assert (refused.status_code, refused.json()) == (400, {"error": "not an image"})
    overloaded = await post(open_door(FakePredictor(OverloadedError("much waits", 3))), body)
    assert (overloaded.status_code, overloaded.headers["retry-after"]) == (429, "3")
    unknown = await post(open_door(), {"inputs": [described(data=PIXELS.tolist())]}, path="/v2/models/roses/infer")
    assert unknown.status_code == 404
    broken = await post(open_door(FakePredictor(ValueError("secret"))), body)
    assert (broken.status_code, "secret" in broken.text) == (500, False)


async def test_several_images() -> None:
    """One row each, in their order."""
    door = open_door(FakePredictor(answer_of(2)))
    element = struct.pack("<I", len(IMAGE)) + IMAGE
    given = described(datatype="BYTES", shape=[2], parameters={"binary_data_size": 2 * len(element)})
    (output,) = (await post_binary(door, {"inputs": [given]}, 2 * element)).json()["outputs"]
    assert output["shape"] == [2, 3]
    assert np.array_equal(np.array(output["data"], np.float32), SCORES.ravel())


@pytest.mark.parametrize("datatype", ["UINT8", "FP32"])
def test_nested_numbers_cost_no_more_than_flat_ones(datatype: str) -> None:
    """No object is made of the brackets of a pixel, while nobody else would be answered."""
    peaks = []
    for data in (PIXELS.tolist(), PIXELS.ravel().tolist()):
        request = read_request(json.dumps({"inputs": [described(datatype=datatype, data=data)]}).encode())
        tensor = read_data(request.inputs[0])
        assert callable(tensor.contents)
        tracemalloc.start()
        numbers = np.array(tensor.contents(PIXELS.size))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert np.array_equal(numbers, PIXELS.ravel())
    nested, flat = peaks
    assert nested < 1.5 * flat
