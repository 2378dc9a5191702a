"""One photograph put to `cnnsvc serve` in every protocol that it speaks, and its scores read from the answer."""

import base64
import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any, Final

import grpc
import numpy as np
from numpy.typing import NDArray

from bench.dialects import Request
from cnnsvc.pb import classifier_pb2, oip_pb2, tensorflow_pb2, tfs_pb2

_JSON: Final = {"Content-Type": "application/json"}
Row = NDArray[np.float32]
"""float32 (K,), in the order of the class names."""
Ask = Callable[[Request], bytes]


@dataclass(frozen=True)
class Form:
    """One way to ask."""

    name: str
    base: str
    """Name of our own API's form with the same payload."""
    request: Callable[[bytes], Request]
    """Of a photograph; made beforehand, so that the generator takes little."""
    ask: Ask
    scores: Callable[[bytes], Row]
    """Of an answer."""


def all_forms(http: HTTPConnection, channel: grpc.Channel, model: str) -> Iterator[Form]:
    """Our own gRPC API's first."""
    http.request("GET", f"/api/v1/models/{model}")
    names: list[str] = json.loads(http.getresponse().read())["class_names"]
    own = _own_forms(http, channel, names)
    yield from own
    grpc_base, raw_base, json_base = (form.name for form in own)
    predict = _call(channel, "/tensorflow.serving.PredictionService/Predict")
    yield Form("TensorFlow Serving, gRPC", grpc_base, lambda image: _predict(model, image), predict, _predicted)
    rest = _post(http, f"/v1/models/{model}:predict")
    yield Form("TensorFlow Serving, REST", json_base, _instances, rest, _predictions)
    infer = _call(channel, "/inference.GRPCInferenceService/ModelInfer")
    yield Form("Open Inference, gRPC", grpc_base, lambda image: _infer(model, image), infer, _inferred)
    url = _post(http, f"/v2/models/{model}/infer")
    yield Form("Open Inference, REST, binary", raw_base, _framed, url, _unframed)
    yield Form("Open Inference, REST, JSON", json_base, _inputs, url, _outputs)


def _own_forms(http: HTTPConnection, channel: grpc.Channel, names: list[str]) -> list[Form]:
    top_k = len(names)

    def row(scores: dict[str, float]) -> Row:
        return np.array([scores[name] for name in names], np.float32)

    def classify(image: bytes) -> Request:
        return Request({}, classifier_pb2.ClassifyRequest(images=[image], top_k=top_k).SerializeToString())

    def classified(answer: bytes) -> Row:
        result = classifier_pb2.ClassifyResponse.FromString(answer).results[0]
        return row({one.name: one.score for one in result.classes})

    def read(answer: bytes) -> Row:
        return row({one["name"]: one["score"] for one in json.loads(answer)["results"][0]["classes"]})

    def raw(image: bytes) -> Request:
        return Request({"Content-Type": "image/jpeg"}, image)

    def in_json(image: bytes) -> Request:
        return Request(_JSON, json.dumps({"image": _base64(image)}).encode())

    post = _post(http, f"/api/v1/classify?top_k={top_k}")
    return [
        Form("cnnsvc, gRPC", "cnnsvc, gRPC", classify, _call(channel, "/cnnsvc.v1.Classifier/Classify"), classified),
        Form("cnnsvc, HTTP, raw", "cnnsvc, HTTP, raw", raw, post, read),
        Form("cnnsvc, HTTP, JSON", "cnnsvc, HTTP, JSON", in_json, post, read),
    ]


def _call(channel: grpc.Channel, path: str) -> Ask:
    ask: Any = channel.unary_unary(path)
    return lambda request: bytes(ask(request.body))


def _post(http: HTTPConnection, path: str) -> Ask:
    def ask(request: Request) -> bytes:
        http.request("POST", path, request.body, request.headers)
        response = http.getresponse()
        answer = response.read()
        if response.status != 200:
            raise RuntimeError(f"{path} answered {response.status}: {answer[:200]!r}")
        return answer

    return ask


def _base64(image: bytes) -> str:
    return base64.b64encode(image).decode()


def _predict(model: str, image: bytes) -> Request:
    shape = tensorflow_pb2.TensorShapeProto(dim=[tensorflow_pb2.TensorShapeProto.Dim(size=1)])
    tensor = tensorflow_pb2.TensorProto(dtype="DT_STRING", tensor_shape=shape, string_val=[image])
    spec = tfs_pb2.ModelSpec(name=model, signature_name="serving_bytes")
    return Request({}, tfs_pb2.PredictRequest(model_spec=spec, inputs={"image_bytes": tensor}).SerializeToString())


def _predicted(answer: bytes) -> Row:
    tensor = tfs_pb2.PredictResponse.FromString(answer).outputs["probabilities"]
    content = np.frombuffer(tensor.tensor_content, np.float32)
    return content if content.size else np.array(tensor.float_val, np.float32)


def _instances(image: bytes) -> Request:
    request = {"signature_name": "serving_bytes", "instances": [{"b64": _base64(image)}]}
    return Request(_JSON, json.dumps(request).encode())


def _predictions(answer: bytes) -> Row:
    return np.array(json.loads(answer)["predictions"][0], np.float32)


def _infer(model: str, image: bytes) -> Request:
    request = oip_pb2.ModelInferRequest(model_name=model, raw_input_contents=[_element(image)])
    request.inputs.add(name="image", datatype="BYTES", shape=[1])
    return Request({}, request.SerializeToString())


def _inferred(answer: bytes) -> Row:
    return np.frombuffer(oip_pb2.ModelInferResponse.FromString(answer).raw_output_contents[0], np.float32)


def _inputs(image: bytes) -> Request:
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "parameters": {"content_type": "base64"}}
    return Request(_JSON, json.dumps({"inputs": [{**tensor, "data": [_base64(image)]}]}).encode())


def _outputs(answer: bytes) -> Row:
    return np.array(json.loads(answer)["outputs"][0]["data"], np.float32).reshape(-1)


def _element(image: bytes) -> bytes:
    """One of a BYTES tensor."""
    return struct.pack("<I", len(image)) + image


def _framed(image: bytes) -> Request:
    element = _element(image)
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(element)}}
    header = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return Request({"Inference-Header-Content-Length": str(len(header))}, header + element)


def _unframed(answer: bytes) -> Row:
    """The tensor is the end of the body."""
    header, _ = json.JSONDecoder().raw_decode(answer.decode("latin-1"))
    return np.frombuffer(answer[-header["outputs"][0]["parameters"]["binary_data_size"] :], np.float32)
