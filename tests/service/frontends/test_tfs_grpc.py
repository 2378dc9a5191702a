"""TensorFlow Serving's PredictionService and ModelService, called as their clients call them."""

import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import grpc
import numpy as np
import pytest
import pytest_asyncio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from cnnsvc.classification import Timings
from cnnsvc.errors import Fault
from cnnsvc.manifest import ImageShape
from cnnsvc.pb import tensorflow_pb2 as tf
from cnnsvc.pb import tfs_pb2 as pb
from service.frontends.dialects import dialect_services
from service.frontends.grpc_calls import GrpcCalls
from service.frontends.grpc_server import bind_grpc, build_grpc_server
from service.frontends.rpc_names import rpc_name
from service.frontends.tfs_signatures import SIGNATURES
from service.frontends.tfs_tensors import read_inputs
from service.health import report
from service.predictor import Answer
from service.registry import Refusal
from tests.bundles import CLASS_NAMES, SHAPE
from tests.encoded import encode
from tests.fakes import FakePredictor
from tests.service.frontends.tfs_rooms import TfsRooms, opened, pixels_of_encoded, scores_of, scores_of_encoded

IMAGES = [encode("PNG", seed=seed) for seed in range(3)]
PIXELS = np.stack([pixels_of_encoded(image) for image in IMAGES])


class Door(TfsRooms):
    def __init__(self, predictor: FakePredictor | None = None) -> None:
        super().__init__(predictor=predictor)
        self.calls = GrpcCalls(self.metrics)
        self.health = health.aio.HealthServicer()
        services = dialect_services(self.rooms, self.calls)
        self.server = build_grpc_server(services, self.health, body_limit_bytes=200_000)
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{bind_grpc(self.server, '127.0.0.1', 0)}")

    async def call(self, method: str, request: Any, response: Any = bytes, **options: Any) -> Any:
        """By its public name, whose bytes are those of a foreign client."""
        parse = response.FromString if hasattr(response, "FromString") else bytes
        payload = request if isinstance(request, bytes) else request.SerializeToString()
        call: Any = self.channel.unary_unary(f"/{rpc_name(method)}", None, parse)
        return await call(payload, **options)

    async def predict(self, request: pb.PredictRequest) -> pb.PredictResponse:
        found: pb.PredictResponse = await self.call("tfs_predict", request, pb.PredictResponse)
        return found


@pytest_asyncio.fixture
async def door() -> AsyncIterator[Door]:
    async with opened(Door()) as door:
        assert isinstance(door, Door)
        await door.server.start()
        yield door
        await door.channel.close()
        await door.server.stop(None)


def spec(signature: str = "", name: str = "flowers", version: int | None = None, label: str | None = None) -> Any:
    made = pb.ModelSpec(name=name, signature_name=signature)
    if version is not None:
        made.version.value = version
    if label is not None:
        made.version_label = label
    return made


def tensor(dtype: Any, dims: list[int], **values: Any) -> tf.TensorProto:
    shape = tf.TensorShapeProto(dim=[tf.TensorShapeProto.Dim(size=size) for size in dims])
    return tf.TensorProto(dtype=dtype, tensor_shape=shape, **values)


def strings(images: list[bytes]) -> tf.TensorProto:
    return tensor(tf.DT_STRING, [len(images)], string_val=images)


def request(signature: str = "", **inputs: tf.TensorProto) -> pb.PredictRequest:
    return pb.PredictRequest(model_spec=spec(signature), inputs=inputs)


def example(image: bytes, feature: str = "image/encoded") -> tf.Example:
    return tf.Example(features=tf.Features(feature={feature: tf.Feature(bytes_list=tf.BytesList(value=[image]))}))


def rows(response: pb.PredictResponse, name: str = "probabilities") -> Any:
    found = response.outputs[name]
    dims = [dim.size for dim in found.tensor_shape.dim]
    return np.array(found.float_val, np.float32).reshape(dims)


PIXEL_DIMS = [3, SHAPE.height, SHAPE.width, SHAPE.channels]
FLOATS = PIXELS.astype("<f4")


@pytest.mark.parametrize(
    ("signature", "inputs"),
    [
        ("serving_bytes", {"image_bytes": strings(IMAGES)}),
        ("", {"image": tensor(tf.DT_UINT8, PIXEL_DIMS, tensor_content=PIXELS.tobytes())}),
        ("serving_default", {"image": tensor(tf.DT_UINT8, PIXEL_DIMS, int_val=PIXELS.ravel().tolist())}),
        ("serving_float", {"image": tensor(tf.DT_FLOAT, PIXEL_DIMS, tensor_content=FLOATS.tobytes())}),
        ("serving_float", {"image": tensor(tf.DT_FLOAT, PIXEL_DIMS, float_val=FLOATS.ravel().tolist())}),
        ("serving_default", {"image": strings(IMAGES)}),
        ("serving_default", {"image_bytes": strings(IMAGES)}),
        ("serving_bytes", {"image": tensor(tf.DT_FLOAT, PIXEL_DIMS, tensor_content=FLOATS.tobytes())}),
    ],
)
async def test_predict_by_every_signature(door: Door, signature: str, inputs: dict[str, tf.TensorProto]) -> None:
    """Encoded images and pixels, of whatever signature and field, have the same scores, to the last digit."""
    answer = await door.predict(request(signature, **inputs))
    assert np.array_equal(rows(answer), scores_of(PIXELS))
    assert answer.outputs["probabilities"].dtype == tf.DT_FLOAT
    assert answer.model_spec == spec(signature or "serving_default", version=2)
    assert door.num_calls("grpc", "tfs_predict", "ok", "2") == 1


REJECTING = Answer(
    "flowers", 2, [], Timings(1, 1, 1, 3), list(scores_of(PIXELS)), CLASS_NAMES, rejected=frozenset([0, 2])
)


async def test_none_of_the_classes_where_that_is_asked_for() -> None:
    """Predict answers `rejected` where the filter names it, beside other outputs or alone; no signature has it."""
    door = Door(FakePredictor(REJECTING))
    async with opened(door):
        await door.server.start()
        asked = request("serving_bytes", image_bytes=strings(IMAGES))
        assert list((await door.predict(asked)).outputs) == ["probabilities"]
        asked.output_filter.extend(["rejected", "probabilities"])
        answer = await door.predict(asked)
        assert np.array_equal(rows(answer), scores_of(PIXELS))
        assert answer.outputs["rejected"] == tensor(tf.DT_BOOL, [3], bool_val=[True, False, True])
        del asked.output_filter[1]
        assert list((await door.predict(asked)).outputs) == ["rejected"]
        assert all("rejected" not in one.outputs for one in SIGNATURES.values())
        await door.channel.close()
        await door.server.stop(None)


async def test_predict_by_examples(door: Door) -> None:
    """The signature classify takes serialized examples, and names the classes, best first."""
    inputs = strings([example(image).SerializeToString() for image in IMAGES])
    answer = await door.predict(request("classify", inputs=inputs))
    scores = scores_of_encoded(IMAGES)
    assert np.array_equal(rows(answer, "scores"), np.sort(scores)[:, ::-1])
    best = [CLASS_NAMES[index].encode() for index in scores.argmax(axis=1)]
    assert list(answer.outputs["classes"].string_val)[::3] == best
    only = pb.PredictRequest(model_spec=spec("classify"), inputs={"inputs": inputs}, output_filter=["scores"])
    assert list((await door.predict(only)).outputs) == ["scores"]


async def test_few_values_fill_a_tensor(door: Door) -> None:
    """The last value is repeated to fill the shape, and none at all are zeros, as in TensorFlow."""
    dims = [1, *PIXEL_DIMS[1:]]
    for values, pixel in (([200], 200), ([], 0)):
        expected = scores_of(np.full(dims, pixel, np.uint8))
        for filled in (tensor(tf.DT_UINT8, dims, int_val=values), tensor(tf.DT_FLOAT, dims, float_val=values)):
            assert np.array_equal(rows(await door.predict(request(image=filled))), expected)
    repeated = tensor(tf.DT_STRING, [2], string_val=IMAGES[:1])
    assert np.array_equal(rows(await door.predict(request(image=repeated))), scores_of(PIXELS[[0, 0]]))


def test_a_tensor_that_is_filled_up_costs_its_pixels_alone() -> None:
    """A few bytes may say many images, of which nothing wider than they are is made."""
    dims = [128, 224, 224, 3]
    tracemalloc.start()
    try:
        images = read_inputs(
            SIGNATURES["serving_default"],
            {"image": tensor(tf.DT_UINT8, dims, int_val=[7, 9])},
            ImageShape(224, 224, 3),
            128,
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    first, last = np.asarray(images[0]), np.asarray(images[-1])
    assert (len(images), first.ravel()[:3].tolist(), np.unique(last).tolist()) == (128, [7, 9, 9], [9])
    assert peak < 1.1 * np.prod(dims)


async def test_floats_are_rounded_half_to_even(door: Door) -> None:
    """What the network gets is the nearest whole number, and of two the even one."""
    dims = [2, *PIXEL_DIMS[1:]]
    halves = np.stack([np.full(dims[1:], 100.5, "<f4"), np.full(dims[1:], 101.5, "<f4")])
    answer = await door.predict(request(image=tensor(tf.DT_FLOAT, dims, tensor_content=halves.tobytes())))
    expected = np.stack([np.full(dims[1:], 100, np.uint8), np.full(dims[1:], 102, np.uint8)])
    assert np.array_equal(rows(answer), scores_of(expected))


async def test_a_version_and_a_label(door: Door) -> None:
    """Both lead to a version, which the answer names."""
    for asked, version in ((spec(version=1), 1), (spec(label="old"), 1), (spec(version=2), 2), (spec(), 2)):
        answer = await door.predict(pb.PredictRequest(model_spec=asked, inputs={"image": strings(IMAGES[:1])}))
        assert answer.model_spec.version.value == version


def _pixels_with(value: float) -> tf.TensorProto:
    pixels = FLOATS.copy()
    pixels[0, 0, 0, 0] = value
    return tensor(tf.DT_FLOAT, PIXEL_DIMS, tensor_content=pixels.tobytes())


REFUSED: list[tuple[pb.PredictRequest, str, str]] = [
    (pb.PredictRequest(), "INVALID_ARGUMENT", "Missing ModelSpec"),
    (pb.PredictRequest(model_spec=spec(name="")), "INVALID_ARGUMENT", "ModelSpec has no name specified"),
    (pb.PredictRequest(model_spec=spec(name="roses")), "NOT_FOUND", "Servable not found for request: Latest(roses)"),
    (
        pb.PredictRequest(model_spec=spec(version=7)),
        "NOT_FOUND",
        "Servable not found for request: Specific(flowers, 7)",
    ),
    (
        pb.PredictRequest(model_spec=spec(version=0)),
        "NOT_FOUND",
        "Servable not found for request: Specific(flowers, 0)",
    ),
    (
        pb.PredictRequest(model_spec=spec(version=-1)),
        "NOT_FOUND",
        "Servable not found for request: Specific(flowers, -1)",
    ),
    (
        pb.PredictRequest(model_spec=spec(label="x")),
        "INVALID_ARGUMENT",
        "Unrecognized servable version label: x",
    ),
    (pb.PredictRequest(model_spec=spec(label="")), "INVALID_ARGUMENT", "Unrecognized servable version label: "),
    (request("other", image=strings(IMAGES)), "INVALID_ARGUMENT", "Serving signature key 'other' not found; there are"),
    (request(), "INVALID_ARGUMENT", "none came; expected one, image, DT_UINT8 or DT_FLOAT [-1, 24, 32, 3]"),
    (request(inputs=strings(IMAGES)), "INVALID_ARGUMENT", "inputs came; expected one, image"),
    (request(image=strings(IMAGES), image_bytes=strings(IMAGES)), "INVALID_ARGUMENT", "image, image_bytes came"),
    (
        request("", **{f"image{place}": strings([]) for place in range(2000)}),
        "INVALID_ARGUMENT",
        " came; expected one, image, DT_UINT8 or DT_FLOAT [-1, 24, 32, 3]",
    ),
    (request("classify", image=strings(IMAGES)), "INVALID_ARGUMENT", "image came; expected one, inputs, DT_STRING"),
    (request("classify", inputs=strings(IMAGES)), "INVALID_ARGUMENT", "not a serialized tf.Example"),
    (request(image=tensor(tf.DT_INT64, PIXEL_DIMS)), "INVALID_ARGUMENT", "has type DT_INT64; signature serving_def"),
    (request(image=tensor(77, PIXEL_DIMS)), "INVALID_ARGUMENT", "has type 77"),
    (request(image=tf.TensorProto()), "INVALID_ARGUMENT", "has type DT_INVALID"),
    (request(image=tensor(tf.DT_UINT8, PIXEL_DIMS[1:])), "INVALID_ARGUMENT", "has shape [24, 32, 3]; expected [-1, 24"),
    (request(image=tensor(tf.DT_UINT8, [1, 24, 32, 1])), "INVALID_ARGUMENT", "has shape [1, 24, 32, 1]; expected"),
    (request(image=tensor(tf.DT_STRING, [], string_val=IMAGES[:1])), "INVALID_ARGUMENT", "has shape []; expected [-1]"),
    (request(image=tensor(tf.DT_STRING, [1] * 99)), "INVALID_ARGUMENT", "has shape of 99 dimensions"),
    (request(image=tensor(tf.DT_STRING, [-1])), "INVALID_ARGUMENT", "has shape [-1]; expected [-1], -1 being any"),
    (
        request(image=tf.TensorProto(dtype=tf.DT_STRING, tensor_shape=tf.TensorShapeProto(unknown_rank=True))),
        "INVALID_ARGUMENT",
        "has unknown rank",
    ),
    (request(image=tensor(tf.DT_STRING, [0])), "INVALID_ARGUMENT", "the call has no image"),
    (request(image=tensor(tf.DT_STRING, [10**15])), "INVALID_ARGUMENT", "images; allowed are 4"),
    (request(image=tensor(tf.DT_UINT8, [10**15, 24, 32, 3], int_val=[1])), "INVALID_ARGUMENT", "images; allowed are 4"),
    (
        request(image=tensor(tf.DT_STRING, [1], string_val=IMAGES)),
        "INVALID_ARGUMENT",
        "has 3 values; its shape holds 1",
    ),
    (request(image=tensor(tf.DT_STRING, [2])), "INVALID_ARGUMENT", "empty"),
    (request(image=tensor(tf.DT_STRING, [1], tensor_content=b"x")), "INVALID_ARGUMENT", "strings in tensor_content"),
    (
        request(image=tensor(tf.DT_UINT8, PIXEL_DIMS, tensor_content=b"x")),
        "INVALID_ARGUMENT",
        "1 bytes of tensor_content",
    ),
    (request(image=tensor(tf.DT_UINT8, PIXEL_DIMS, int_val=[256])), "INVALID_ARGUMENT", "pixels from 256 to 256 came"),
    (request(image=_pixels_with(-1)), "INVALID_ARGUMENT", "pixels from -1 to 254 came; expected 0 to 255"),
    (request(image=_pixels_with(float("nan"))), "INVALID_ARGUMENT", "pixels from nan to nan came"),
    (request(image=_pixels_with(float("inf"))), "INVALID_ARGUMENT", "to inf came"),
    (
        request(image=tensor(tf.DT_FLOAT, PIXEL_DIMS, float_val=[0.5])),
        "INVALID_ARGUMENT",
        "pixels are fractions of 1, 0.5 at most; the network takes 0 to 255",
    ),
    (request(image=strings([b"hello"])), "INVALID_ARGUMENT", "not an image: 5 bytes"),
    (
        pb.PredictRequest(model_spec=spec(), inputs={"image": strings(IMAGES)}, output_filter=["logits"]),
        "INVALID_ARGUMENT",
        "output tensor alias not found in signature: logits Outputs expected to be in the set {probabilities}.",
    ),
    (
        pb.PredictRequest(model_spec=spec(), inputs={"image": strings(IMAGES)}, output_filter=["probabilities"] * 2),
        "INVALID_ARGUMENT",
        "duplicate output tensor alias: probabilities",
    ),
]


@pytest.mark.parametrize(("refused", "status", "words"), REFUSED, ids=[words[:40] for _, _, words in REFUSED])
async def test_refused_predictions(door: Door, refused: pb.PredictRequest, status: str, words: str) -> None:
    """A wrong call gets TensorFlow Serving's status, and words that say what came and what is expected."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await door.predict(refused)
    assert error.value.code().name == status
    assert words in str(error.value.details())


async def test_no_bytes_are_an_internal_error(door: Door) -> None:
    """Whatever is broken in the bytes of a request, the answer speaks of that and never of a fault of ours."""
    random = np.random.default_rng(0)
    valid = {
        "tfs_predict": request(image=tensor(tf.DT_UINT8, PIXEL_DIMS, int_val=[7])),
        "tfs_classify": pb.ClassificationRequest(model_spec=spec("classify", version=2), input=_listed([b"x" * 9])),
        "tfs_get_model_metadata": pb.GetModelMetadataRequest(model_spec=spec(), metadata_field=["signature_def"]),
        "tfs_get_model_status": pb.GetModelStatusRequest(model_spec=spec(label="old")),
    }
    allowed = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}
    found = set()
    for method, request_ in valid.items():
        for _ in range(60):
            broken = bytearray(request_.SerializeToString())
            for place in random.integers(0, len(broken), 2):
                broken[place] = random.integers(0, 256)
            kept = len(broken) if random.random() < 0.7 else random.integers(1, len(broken))
            try:
                await door.call(method, bytes(broken[:kept]))
            except grpc.aio.AioRpcError as error:
                found.add(error.code())
    assert found <= allowed
    assert len(found) == 2


def _listed(images: list[bytes]) -> pb.Input:
    return pb.Input(example_list=pb.ExampleList(examples=map(example, images)))


def _in_context(images: list[bytes], context: bytes) -> pb.Input:
    listed = pb.ExampleListWithContext(examples=[example(image) for image in images], context=example(context))
    return pb.Input(example_list_with_context=listed)


def _without_own(context: bytes) -> pb.Input:
    listed = pb.ExampleListWithContext(examples=[tf.Example()], context=example(context, "image"))
    return pb.Input(example_list_with_context=listed)


@pytest.mark.parametrize(
    ("given", "images"),
    [
        (_listed(IMAGES), IMAGES),
        (_in_context(IMAGES[:2], IMAGES[2]), IMAGES[:2]),
        (_without_own(IMAGES[2]), IMAGES[2:]),
    ],
)
@pytest.mark.parametrize("signature", ["", "classify"])
async def test_classify(door: Door, given: pb.Input, images: list[bytes], signature: str) -> None:
    """Each example's own image, else that of the context, has all classes by name, best first."""
    asked = pb.ClassificationRequest(model_spec=spec(signature), input=given)
    answer = await door.call("tfs_classify", asked, pb.ClassificationResponse)
    for found, scores in zip(answer.result.classifications, scores_of_encoded(images), strict=True):
        order = np.argsort(-scores)
        assert [one.label for one in found.classes] == [CLASS_NAMES[index] for index in order]
        assert [np.float32(one.score) for one in found.classes] == list(scores[order])
    assert answer.model_spec == spec("classify", version=2)
    assert door.num_calls("grpc", "tfs_classify", "ok", "2") == 1


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (pb.ClassificationRequest(model_spec=spec()), "Input is empty."),
        (pb.ClassificationRequest(model_spec=spec(), input=_listed([])), "Input is empty."),
        (pb.ClassificationRequest(model_spec=spec(), input=_listed(IMAGES * 2)), "has 6 images; allowed are 4"),
        (
            # Counted before any of them is looked into.
            pb.ClassificationRequest(
                model_spec=spec(), input=pb.Input(example_list=pb.ExampleList(examples=[tf.Example()] * 5000))
            ),
            "has 5000 images; allowed are 4",
        ),
        (
            pb.ClassificationRequest(model_spec=spec("serving_default"), input=_listed(IMAGES)),
            "Expected classification signature method_name to be tensorflow/serving/classify.",
        ),
        (
            pb.ClassificationRequest(
                model_spec=spec(), input=pb.Input(example_list=pb.ExampleList(examples=[example(b"x", "picture")]))
            ),
            "example 1: an example has the features picture; expected image/encoded",
        ),
        (
            pb.ClassificationRequest(
                model_spec=spec(),
                input=pb.Input(
                    example_list=pb.ExampleList(
                        examples=[
                            tf.Example(
                                features=tf.Features(
                                    feature={"image": tf.Feature(int64_list=tf.Int64List(value=[1, 2]))}
                                )
                            )
                        ]
                    )
                ),
            ),
            "feature image is a int64_list of 2; expected a bytes_list of 1",
        ),
    ],
)
async def test_refused_classifications(door: Door, asked: pb.ClassificationRequest, words: str) -> None:
    """Wrong examples are told what is expected of one."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await door.call("tfs_classify", asked)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert words in str(error.value.details())


async def test_metadata_names_the_signatures(door: Door) -> None:
    """GetModelMetadata packs a map of signatures under its public name, and knows no other field."""
    asked = pb.GetModelMetadataRequest(model_spec=spec(label="old"), metadata_field=["signature_def"])
    answer = await door.call("tfs_get_model_metadata", asked, pb.GetModelMetadataResponse)
    packed = answer.metadata["signature_def"]
    assert packed.type_url == "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    described = pb.SignatureDefMap.FromString(packed.value).signature_def
    assert set(described) == {"serving_default", "serving_float", "serving_bytes", "classify"}
    taken = described["serving_default"].inputs["image"]
    assert (taken.dtype, [dim.size for dim in taken.tensor_shape.dim]) == (tf.DT_UINT8, [-1, 24, 32, 3])
    assert answer.model_spec == spec(version=1)
    for fields, words in (([], "at least one metadata_field"), (["x"], "Metadata field x is not supported")):
        asked = pb.GetModelMetadataRequest(model_spec=spec(), metadata_field=fields)
        with pytest.raises(grpc.aio.AioRpcError, match=words):
            await door.call("tfs_get_model_metadata", asked)


@pytest.mark.parametrize("method", ["tfs_regress", "tfs_multi_inference"])
async def test_what_is_not_offered(door: Door, method: str) -> None:
    """Regression and several inferences at once are UNIMPLEMENTED, with a sentence."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await door.call(method, b"")
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert "is not offered: " in str(error.value.details())
    assert door.num_calls("grpc", method, "unimplemented") == 1


async def test_states_of_versions(door: Door) -> None:
    """Versions that answer are AVAILABLE, newest first; a refused one has ended, with its reason."""
    door.registry.refuse(Refusal("flowers", 3, Fault.HASH, "its hash is another"))
    answer = await door.call(
        "tfs_get_model_status", pb.GetModelStatusRequest(model_spec=spec()), pb.GetModelStatusResponse
    )
    states = pb.ModelVersionStatus
    found = [
        (one.version, one.state, one.status.error_code, one.status.error_message) for one in answer.model_version_status
    ]
    assert found == [
        (3, states.END, 13, "its hash is another"),
        (2, states.AVAILABLE, 0, ""),
        (1, states.AVAILABLE, 0, ""),
    ]
    for asked, version in ((spec(version=1), 1), (spec(label="old"), 1), (spec(version=3), 3)):
        answer = await door.call(
            "tfs_get_model_status", pb.GetModelStatusRequest(model_spec=asked), pb.GetModelStatusResponse
        )
        assert [one.version for one in answer.model_version_status] == [version]
    for asked, status, words in (
        (None, "INVALID_ARGUMENT", "Missing ModelSpec"),
        (spec(name=""), "INVALID_ARGUMENT", "Missing model name"),
        (spec(name="roses"), "NOT_FOUND", "Could not find any versions of model roses"),
        (spec(version=9), "NOT_FOUND", "Could not find version 9 of model flowers"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await door.call("tfs_get_model_status", pb.GetModelStatusRequest(model_spec=asked))
        assert (error.value.code().name, words in str(error.value.details())) == (status, True)


async def test_no_config_without_an_admin(door: Door) -> None:
    """Where there are no tokens nobody may change what is served."""
    with pytest.raises(grpc.aio.AioRpcError, match="wants tokens") as error:
        await door.call("tfs_reload_config", pb.ReloadConfigRequest())
    assert error.value.code() == grpc.StatusCode.PERMISSION_DENIED


async def test_health_knows_the_services(door: Door) -> None:
    """By their full names, and by the short ones that TensorFlow Serving's own health has."""
    await report(door.health, is_ready=True)
    stub: Any = health_pb2_grpc.HealthStub(door.channel)
    for package in ("tensorflow.serving.", ""):
        for service in ("PredictionService", "ModelService"):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=f"{package}{service}"))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_deadline_reaches_the_predictor() -> None:
    """A call that is not answered ends at its deadline."""
    predictor = FakePredictor(is_stuck=True)
    async with opened(Door(predictor)) as door:
        assert isinstance(door, Door)
        await door.server.start()
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await door.call("tfs_predict", request(image=strings(IMAGES)), timeout=0.2)
        assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert predictor.queries[0].deadline is not None
        assert predictor.queries[0].version == 2
        await door.channel.close()
        await door.server.stop(None)
