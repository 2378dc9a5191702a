"""TensorFlow Serving's REST API: bodies of every form, answers to the last digit, and what is refused."""

import asyncio
import base64
import json
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from cnnsvc.errors import Fault, OverloadedError, TooLargeError
from cnnsvc.manifest import ImageShape
from cnnsvc.pb import tensorflow_pb2 as tf
from service.access import Access, Scope, Token, hash_of
from service.frontends.http_app import build_http_app
from service.frontends.tfs_json import images_of, read_predict
from service.registry import Refusal, ServedModel
from tests.bundles import CLASS_NAMES
from tests.encoded import encode
from tests.fakes import FakePredictor, FakeRegistry
from tests.service.frontends.http_door import Door as ListeningDoor
from tests.service.frontends.http_door import listening, until
from tests.service.frontends.tfs_rooms import LIMITS, TfsRooms, opened, pixels_of_encoded, scores_of, scores_of_encoded

IMAGES = [encode("PNG", seed=seed) for seed in range(3)]
PIXELS = np.stack([pixels_of_encoded(image) for image in IMAGES])
MODEL = "/v1/models/flowers"
PREDICT = f"{MODEL}:predict"
CLASSIFY = f"{MODEL}:classify"


@pytest_asyncio.fixture
async def rooms() -> AsyncIterator[TfsRooms]:
    async with opened(TfsRooms()) as rooms:
        yield rooms


def b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


def web_safe(data: bytes) -> dict[str, str]:
    return {"b64": base64.urlsafe_b64encode(data).decode().rstrip("=")}


ENCODED = [b64(image) for image in IMAGES]


async def post(rooms: TfsRooms, path: str, body: Any) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = await rooms.http.post(path, content=content)
    assert response.headers["content-type"] == "application/json"
    assert response.status_code == 200, response.text
    return response.json()


def example(image: bytes) -> bytes:
    features = tf.Features(feature={"image/encoded": tf.Feature(bytes_list=tf.BytesList(value=[image]))})
    return tf.Example(features=features).SerializeToString()


@pytest.mark.parametrize(
    "body",
    [
        {"instances": ENCODED},
        {"instances": ENCODED, "signature_name": "serving_bytes", "something": "else"},
        {"instances": [web_safe(image) for image in IMAGES]},
        {"instances": [{"image_bytes": one} for one in ENCODED], "signature_name": "serving_bytes"},
        {"instances": [{"image": one} for one in ENCODED]},
        {"instances": PIXELS.tolist()},
        {"instances": [{"image": pixels.tolist()} for pixels in PIXELS], "signature_name": "serving_default"},
        {"instances": PIXELS.astype(float).tolist(), "signature_name": "serving_float"},
        {"inputs": ENCODED},
        {"inputs": {"image_bytes": ENCODED}, "signature_name": "serving_bytes"},
        {"inputs": PIXELS.tolist()},
        {"inputs": {"image": PIXELS.tolist()}, "signature_name": "serving_float"},
    ],
)
async def test_predict_in_rows_and_columns(rooms: TfsRooms, body: dict[str, Any]) -> None:
    """Encoded images and pixels, named or not, have the same scores, with every digit of float32."""
    answer = await post(rooms, PREDICT, body)
    (found,) = answer.values()
    assert list(answer) == ["predictions" if "instances" in body else "outputs"]
    assert np.array_equal(np.array(found, np.float32), scores_of(PIXELS))
    assert rooms.num_calls("http", "tfs_predict", "ok", "2") == 1


async def test_several_outputs_have_names(rooms: TfsRooms) -> None:
    """Predicted by serialized examples: classes as strings with their scores, best first."""
    examples = [b64(example(image)) for image in IMAGES]
    in_rows = (await post(rooms, PREDICT, {"instances": examples, "signature_name": "classify"}))["predictions"]
    body = {"inputs": {"inputs": examples}, "signature_name": "classify"}
    in_columns = (await post(rooms, PREDICT, body))["outputs"]
    scores = scores_of_encoded(IMAGES)
    assert [row["classes"][0] for row in in_rows] == [CLASS_NAMES[index] for index in scores.argmax(axis=1)]
    assert in_columns == {name: [row[name] for row in in_rows] for name in ("classes", "scores")}
    assert np.array_equal(np.array(in_columns["scores"], np.float32), np.sort(scores)[:, ::-1])


async def test_classify(rooms: TfsRooms) -> None:
    """Labels with scores, best first; an example's own image goes before that of the context."""
    scores = scores_of_encoded(IMAGES)
    expected = [
        [[CLASS_NAMES[index], pytest.approx(float(row[index]), rel=0)] for index in np.argsort(-row)] for row in scores
    ]
    body: dict[str, Any] = {"examples": [{"image/encoded": one} for one in ENCODED], "signature_name": "classify"}
    assert await post(rooms, CLASSIFY, body) == {"results": expected}
    body = {"examples": [{"image": [ENCODED[0]]}, {}], "context": {"image/encoded": ENCODED[1], "size": 3}}
    assert (await post(rooms, CLASSIFY, body))["results"] == expected[:2]


@pytest.mark.parametrize(
    ("path", "version"),
    [
        (MODEL, 2),
        (f"{MODEL}/versions/1", 1),
        (f"{MODEL}/labels/old", 1),
        ("/V1/Models/flowers/VERSIONS/1", 1),
        ("/v1/models/flowers/Labels/old", 1),
    ],
)
async def test_paths_of_versions_and_labels(rooms: TfsRooms, path: str, version: int) -> None:
    """They are matched whatever the case, the names of models and labels excepted."""
    await post(rooms, f"{path}:Predict", {"instances": ENCODED})
    await post(rooms, f"{path}:classify", {"examples": [{"image": ENCODED[0]}]})
    assert rooms.num_calls("http", "tfs_predict", "ok", str(version)) == 1
    assert rooms.num_calls("http", "tfs_classify", "ok", str(version)) == 1
    metadata = (await rooms.http.get(f"{path}/METADATA")).json()
    assert metadata["model_spec"] == {"name": "flowers", "signature_name": "", "version": str(version)}


async def test_metadata(rooms: TfsRooms) -> None:
    """Signatures as TensorFlow Serving writes them: below the name of the field twice, sizes as text."""
    response = await rooms.http.get(f"{MODEL}/metadata")
    described = response.json()["metadata"]["signature_def"]["signature_def"]
    assert described["serving_bytes"] == {
        "inputs": {
            "image_bytes": {
                "dtype": "DT_STRING",
                "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
                "name": "serving_bytes_image_bytes:0",
            }
        },
        "outputs": {
            "probabilities": {
                "dtype": "DT_FLOAT",
                "tensor_shape": {
                    "dim": [{"size": "-1", "name": ""}, {"size": "3", "name": ""}],
                    "unknown_rank": False,
                },
                "name": "StatefulPartitionedCall:0",
            }
        },
        "method_name": "tensorflow/serving/predict",
        "defaults": {},
    }
    assert rooms.num_calls("http", "tfs_get_model_metadata", "ok", "2") == 1


async def test_status(rooms: TfsRooms) -> None:
    """Versions as text, states and codes by name; one version where one is asked."""
    rooms.registry.refuse(Refusal("flowers", 3, Fault.HASH, "its hash is another"))
    fine = {"error_code": "OK", "error_message": ""}
    all_of_them = [
        {"version": "3", "state": "END", "status": {"error_code": "INTERNAL", "error_message": "its hash is another"}},
        {"version": "2", "state": "AVAILABLE", "status": fine},
        {"version": "1", "state": "AVAILABLE", "status": fine},
    ]
    assert (await rooms.http.get(MODEL)).json() == {"model_version_status": all_of_them}
    for path in ("versions/1", "labels/old"):
        assert (await rooms.http.get(f"{MODEL}/{path}")).json() == {"model_version_status": all_of_them[2:]}
    assert (await rooms.http.head(MODEL)).status_code == 200


DEEP = b'{"instances": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/v1/models/roses:predict", {"instances": ENCODED}, 404, "Servable not found for request: Latest(roses)"),
        (
            f"{MODEL}/versions/7:predict",
            {"instances": ENCODED},
            404,
            "Servable not found for request: Specific(flowers, 7)",
        ),
        (f"{MODEL}/labels/x:predict", {"instances": ENCODED}, 400, "Unrecognized servable version label: x"),
        (f"{MODEL}/versions/x:predict", {"instances": ENCODED}, 400, "version is 'x'; expected a whole number"),
        (f"{MODEL}:regress", {}, 501, "regression is not offered"),
        (f"{MODEL}:explain", {}, 404, "there is nothing at /v1/models/flowers:explain"),
        (PREDICT, b"", 400, "the body is empty; expected a predict request in JSON"),
        (PREDICT, b"{", 400, "the body is not a predict request in JSON"),
        (PREDICT, b'{"instances": [[[[NaN]]]]}', 400, "NaN and Infinity are no JSON"),
        (PREDICT, b"\xff\xfe", 400, "the body is not a predict request in JSON"),
        (PREDICT, [], 400, "Expected `object`, got `array`"),
        (PREDICT, {}, 400, "neither of the keys instances and inputs came; expected one of them"),
        (PREDICT, {"inputs": ENCODED, "instances": ENCODED}, 400, "both of the keys instances and inputs came"),
        (PREDICT, {"instances": ENCODED, "signature_name": "x"}, 400, "Serving signature key 'x' not found"),
        (PREDICT, {"instances": ENCODED, "signature_name": 7}, 400, "Expected `str`, got `int`"),
        (PREDICT, {"instances": {}}, 400, "the values of the input begin with b'{'; expected a list"),
        (PREDICT, {"instances": []}, 400, "the call has no image"),
        (PREDICT, {"instances": ENCODED * 2}, 413, "the call has 6 images; allowed are 4"),
        (PREDICT, {"instances": [{"picture": ENCODED[0]}]}, 400, "picture came; expected one, image, DT_UINT8"),
        (PREDICT, {"instances": [{"image": ENCODED[0], "image_bytes": 1}]}, 400, "expected one named input"),
        (PREDICT, {"instances": [{"image": ENCODED[0]}, ENCODED[0]]}, 400, "expected one named input"),
        (
            PREDICT,
            {"instances": [ENCODED[0], "text"]},
            400,
            "value 2 does not match signature serving_default: expected",
        ),
        (PREDICT, {"instances": [{"b64": "?"}]}, 400, "value 1 is not base64"),
        (PREDICT, {"instances": [{"b64": "é"}]}, 400, "value 1 is not base64"),
        (PREDICT, {"instances": [{"b64": 7}]}, 400, "the body is not value 1 in JSON: Expected `str`, got `int`"),
        (PREDICT, {"instances": [b64(b"hello")]}, 400, "not an image: 5 bytes"),
        (PREDICT, {"instances": [[[1, 2], [3]]]}, 400, "lists of unlike lengths or of other things than numbers"),
        (PREDICT, {"instances": [[["1"]]]}, 400, "lists of unlike lengths or of other things than numbers"),
        (PREDICT, {"instances": [[[10**30]]]}, 400, "lists of unlike lengths or of other things than numbers"),
        (PREDICT, {"instances": [[[1, 2, 3]]]}, 400, "pixels have shape [1, 3]; expected [24, 32, 3]"),
        (PREDICT, {"instances": (PIXELS / 255).tolist()}, 400, "pixels are fractions"),
        (PREDICT, {"instances": (PIXELS[:1] + np.int64(9)).tolist()}, 400, "the network takes 0 to 255"),
        (PREDICT, {"inputs": ENCODED[0]}, 400, "the values of the input begin with b'\"'; expected a list"),
        (PREDICT, {"inputs": {"image": ENCODED, "more": 1}}, 400, "inputs are image, more; expected one input"),
        (PREDICT, {"inputs": None}, 400, "the values of the input begin with b'n'"),
        (PREDICT, {"instances": ENCODED, "signature_name": "classify"}, 400, "not a serialized tf.Example"),
        (PREDICT, {"instances": PIXELS.tolist(), "signature_name": "classify"}, 400, "it takes inputs, DT_STRING"),
        (PREDICT, b'{"instances": [' + b"1," * 9999 + b"1]}", 413, "the body has more values than 4 images have"),
        (PREDICT, {"instances": [ENCODED[0], [[[["x"] * 9]]]]}, 400, "other things than numbers"),
        (
            PREDICT,
            {"instances": [[PIXELS[0].tolist()] * 2]},
            400,
            "an image has more numbers or lists than [24, 32, 3]",
        ),
        (PREDICT, {"instances": [[[[]] * 900]]}, 400, "an image has more numbers or lists than [24, 32, 3]"),
        (PREDICT, {"instances": [{}] * 999}, 413, "the body has more values than 4 images have"),
        (PREDICT, {"inputs": {f"{place}": [] for place in range(999)}}, 413, "the body has more values than 4 images"),
        (PREDICT, {"instances": [[]] * 999}, 413, "the call has more than 4 images"),
        (PREDICT, {"inputs": [[]] * 999}, 413, "the call has more than 4 images"),
        (PREDICT, DEEP, 413, "the body has more values than 4 images have"),
        (CLASSIFY, {}, 400, "Object missing required field `examples`"),
        (CLASSIFY, {"examples": []}, 400, "the call has no image"),
        (CLASSIFY, {"examples": [{}]}, 400, "example 1 has the features none; expected image/encoded"),
        (CLASSIFY, {"examples": [{"image": "text"}]}, 400, 'example 1: feature image is not {"b64": "…"}'),
        (CLASSIFY, {"examples": [7]}, 400, "Expected `object`, got `int`"),
        (CLASSIFY, {"examples": [{"image": ENCODED[0]}], "signature_name": "serving_bytes"}, 400, "Expected classif"),
        (CLASSIFY, DEEP.replace(b"instances", b"examples"), 413, "the body has more than 4100 values"),
    ],
)
async def test_refused_bodies(rooms: TfsRooms, path: str, body: Any, status: int, words: str) -> None:
    """A wrong call gets a JSON object with the key error, which says what came and what is expected."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = await rooms.http.post(path, content=content)
    assert (response.status_code, list(response.json())) == (status, ["error"])
    assert words in response.json()["error"]


async def test_no_bytes_are_an_internal_error(rooms: TfsRooms) -> None:
    """Whatever is broken in a body, the answer speaks of that and never of a fault of ours."""
    random = np.random.default_rng(0)
    tiny = {"b64": "aGVsbG8="}
    bodies = [
        (PREDICT, {"instances": [tiny, tiny]}),
        (PREDICT, {"signature_name": "serving_float", "instances": [{"image": [[[1.5, 2, 3]]]}]}),
        (PREDICT, {"inputs": {"image_bytes": [tiny]}, "signature_name": "serving_bytes"}),
        (CLASSIFY, {"examples": [{"image": tiny, "more": [1, 2.5, "x"]}], "context": {"a": True}}),
    ]
    found = set()
    for path, body in bodies:
        valid = json.dumps(body).encode()
        for _ in range(150):
            broken = bytearray(valid)
            for place in random.integers(0, len(broken), 3):
                broken[place] = random.choice([*b'[]{}",:0-e\\ \xff', random.integers(0, 256)])
            response = await rooms.http.post(path, content=bytes(broken))
            assert list(response.json()) == ["error"]
            found.add(response.status_code)
    assert found == {400}


async def test_other_refusals(rooms: TfsRooms) -> None:
    """A coding of the body that is not offered, a method that a path does not take, a body that is too large."""
    response = await rooms.http.post(PREDICT, content=b"x", headers={"content-encoding": "gzip"})
    assert (response.status_code, "'gzip' is not offered" in response.json()["error"]) == (415, True)
    response = await rooms.http.get(PREDICT)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert list((await rooms.http.post("/V1/models/flowers")).json()) == ["error"]
    response = await rooms.http.post(PREDICT, content=b" " * (LIMITS.body_limit_bytes + 1))
    assert (response.status_code, "allowed are 200000" in response.json()["error"]) == (413, True)
    response = await rooms.http.get("/v1/models/roses")
    assert (response.status_code, response.json()) == (404, {"error": "Could not find any versions of model roses"})
    assert (await rooms.http.get("/v1/models/roses/metadata")).status_code == 404


async def test_overload_says_when_to_come_again() -> None:
    """429 with Retry-After, as everywhere."""
    async with opened(TfsRooms(predictor=FakePredictor(OverloadedError("much waits", 3)))) as rooms:
        response = await rooms.http.post(PREDICT, json={"instances": ENCODED})
        assert (response.status_code, response.headers["retry-after"]) == (429, "3")
        assert response.json() == {"error": "much waits"}


async def test_a_client_that_leaves_is_not_computed_for() -> None:
    """The prediction is cancelled when the connection closes, and counted as that."""
    predictor = FakePredictor(is_stuck=True)
    async with opened(TfsRooms(predictor=predictor)) as rooms:
        door = ListeningDoor(rooms.app, predictor, FakeRegistry(), rooms.prometheus)
        async with listening(door) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            body = json.dumps({"instances": ENCODED}).encode()
            writer.write(f"POST {PREDICT} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
            await predictor.is_asked.wait()
            writer.close()
            await asyncio.wait_for(predictor.is_cancelled.wait(), 5)
            await until(lambda: rooms.num_calls("http", "tfs_predict", "cancelled") == 1)


async def test_metrics_where_its_scrapers_look() -> None:
    """The path of TensorFlow Serving answers as /metrics does, with the same token, and moves with it."""
    tokens = [Token("prometheus", [Scope.METRICS], hash_of("secret"))]
    path = "/monitoring/prometheus/metrics"
    async with opened(TfsRooms(access=Access(lambda: tokens))) as rooms:
        assert (await rooms.http.get(path)).status_code == 401
        response = await rooms.http.get(path, headers={"authorization": "Bearer secret"})
        assert "cnnsvc_build_info" in response.text
        app = build_http_app(rooms.predictor, rooms.registry, rooms.metrics, LIMITS, has_metrics=False)
        rooms.http._transport.app = app  # type: ignore[attr-defined]
        assert (await rooms.http.get(path)).status_code == 404


@pytest.mark.parametrize("key", [b"instances", b"inputs"])
def test_many_small_lists_are_refused_before_objects_are_made_of_them(key: bytes) -> None:
    """A body that is no more than brackets costs little more than its bytes."""
    body = b'{"%b": [' % key + b"[]," * 300_000 + b"[]]}"
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError, match="more than 128 images"):
            read_predict(body, ImageShape(224, 224, 3), 128)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


async def test_a_version_that_goes_while_its_numbers_are_read(rooms: TfsRooms, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that answers by then takes them; a caller who names the version hears that it is gone."""

    async def going(*arguments: Any) -> Any:
        images = await images_of(*arguments)
        if 2 in rooms.registry.versions("flowers"):
            rooms.registry.route("flowers", 1, {}, {})
            let_go.append(rooms.registry.take("flowers", 2))
        return images

    let_go: list[ServedModel] = []
    monkeypatch.setattr("service.frontends.tfs_rest.images_of", going)
    assert len((await post(rooms, PREDICT, {"instances": PIXELS.tolist()}))["predictions"]) == 3
    assert rooms.num_calls("http", "tfs_predict", "ok", "1") == 1
    rooms.registry.put(let_go.pop())
    response = await rooms.http.post(f"{MODEL}/versions/2:predict", json={"instances": PIXELS.tolist()})
    assert (response.status_code, "Specific(flowers, 2)" in response.json()["error"]) == (404, True)
    await asyncio.to_thread(let_go.pop().batcher.close)
