"""A client of TensorFlow Serving as its users write them, with its own stubs and TensorFlow; it knows nothing of ours.

Reads a JSON object from standard input: addresses, a model, images with the scores that it must get, a token. Prints
one with what it got. To be run with -I: the package that it imports is called as this file is.
"""

import base64
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf.wrappers_pb2 import Int64Value
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    input_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)
from tensorflow_serving.config import model_server_config_pb2

TIMEOUT_SECONDS = 20


class Client:
    def __init__(self, given: dict[str, Any]) -> None:
        self.name: str = given["model"]
        self.url = f"{given['http_url']}/v1/models/{self.name}"
        self.images = [base64.b64decode(image) for image in given["images"]]
        self.expected = np.array(given["scores"], np.float32)
        self.first_expected = np.array(given["first_scores"], np.float32)
        self.class_names = np.array(given["class_names"])
        self.pixels = np.stack([tf.io.decode_png(image).numpy() for image in self.images])
        channel = grpc.insecure_channel(given["grpc_address"])
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(channel)

    def spec(self, signature: str = "", **choice: Any) -> Any:
        return model_pb2.ModelSpec(name=self.name, signature_name=signature, **choice)

    def predict(self, spec: Any, output_filter: Any = (), **inputs: Any) -> Any:
        tensors = {name: tf.make_tensor_proto(value) for name, value in inputs.items()}
        request = predict_pb2.PredictRequest(model_spec=spec, inputs=tensors, output_filter=output_filter)
        return self.prediction.Predict(request, timeout=TIMEOUT_SECONDS)

    def predictions(self) -> dict[str, bool]:
        """Whether each way to ask has the expected scores, to the last digit of float32."""
        floats = self.pixels.astype(np.float32)
        first = self.spec("serving_bytes", version=Int64Value(value=1))
        return {
            "encoded": self._same(self.predict(self.spec("serving_bytes"), image_bytes=self.images)),
            "encoded_by_default": self._same(self.predict(self.spec(), image=self.images)),
            "uint8": self._same(self.predict(self.spec("serving_default"), image=self.pixels)),
            "float": self._same(self.predict(self.spec("serving_float"), image=floats)),
            "uint8_values": self._same(self._predict_values()),
            "filtered": self._same(self.predict(self.spec(), ["probabilities"], image=self.pixels)),
            "version": bool(np.array_equal(_array(self.predict(first, image_bytes=self.images)), self.first_expected)),
            "examples": self._named(self.predict(self.spec("classify"), inputs=self._serialized()).outputs),
        }

    def rejections(self) -> list[bool]:
        """The output that a filter may name, beside the usual one."""
        answer = self.predict(self.spec("serving_bytes"), ["probabilities", "rejected"], image_bytes=self.images)
        assert self._same(answer)
        return tf.make_ndarray(answer.outputs["rejected"]).tolist()

    def one_value_fills(self) -> bool:
        """A tensor of one value is the image of that value."""
        one = tf.make_tensor_proto(np.uint8(7), shape=[1, *self.pixels.shape[1:]])
        assert len(one.int_val) <= 1
        assert len(one.tensor_content) <= 1
        whole = tf.make_tensor_proto(np.full([1, *self.pixels.shape[1:]], 7, np.uint8))
        answers = [
            _array(
                self.prediction.Predict(
                    predict_pb2.PredictRequest(model_spec=self.spec(), inputs={"image": tensor}),
                    timeout=TIMEOUT_SECONDS,
                )
            )
            for tensor in (one, whole)
        ]
        return bool(np.array_equal(*answers))

    def resolved(self) -> dict[str, Any]:
        spec = self.predict(self.spec("serving_bytes"), image_bytes=self.images).model_spec
        return {"name": spec.name, "version": spec.version.value, "signature": spec.signature_name}

    def classifications(self) -> dict[str, bool]:
        examples = [tf.train.Example.FromString(one) for one in self._serialized()]
        plain = input_pb2.Input(example_list=input_pb2.ExampleList(examples=examples))
        with_context = input_pb2.Input(
            example_list_with_context=input_pb2.ExampleListWithContext(
                examples=[tf.train.Example()] * len(self.images), context=examples[0]
            )
        )
        return {
            "examples": self._classified(plain) == self._best(self.expected),
            "context": self._classified(with_context) == self._best(self.expected[[0] * len(self.images)]),
        }

    def metadata(self) -> dict[str, Any]:
        request = get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=self.spec(), metadata_field=["signature_def"]
        )
        answer = self.prediction.GetModelMetadata(request, timeout=TIMEOUT_SECONDS)
        found = get_model_metadata_pb2.SignatureDefMap()
        assert answer.metadata["signature_def"].Unpack(found), "the type is another"
        return {
            name: [
                {name: tf.dtypes.as_dtype(info.dtype).name for name, info in infos.items()}
                for infos in (one.inputs, one.outputs)
            ]
            for name, one in found.signature_def.items()
        }

    def refusals(self) -> dict[str, list[str]]:
        """Status and words of calls that are wrong, and of those that are not offered."""
        missing = self.spec("serving_bytes", version=Int64Value(value=77))
        unknown = model_pb2.ModelSpec(name="roses")
        tasks = inference_pb2.MultiInferenceRequest(tasks=[inference_pb2.InferenceTask(model_spec=self.spec())])
        return {
            "model": _refusal(lambda: self.predict(unknown, image_bytes=self.images)),
            "version": _refusal(lambda: self.predict(missing, image_bytes=self.images)),
            "label": _refusal(lambda: self.predict(self.spec(version_label="none"), image_bytes=self.images)),
            "input": _refusal(lambda: self.predict(self.spec(), picture=self.images)),
            "type": _refusal(lambda: self.predict(self.spec(), image=self.pixels.astype(np.int64))),
            "shape": _refusal(lambda: self.predict(self.spec(), image=self.pixels[0])),
            "fractions": _refusal(lambda: self.predict(self.spec(), image=(self.pixels / 255).astype(np.float32))),
            "output": _refusal(lambda: self.predict(self.spec(), ["logits"], image=self.pixels)),
            "regress": _refusal(
                lambda: self.prediction.Regress(regression_pb2.RegressionRequest(model_spec=self.spec()))
            ),
            "multi_inference": _refusal(lambda: self.prediction.MultiInference(tasks)),
            "reload": _refusal(
                lambda: self.models.HandleReloadConfigRequest(model_management_pb2.ReloadConfigRequest())
            ),
        }

    def status(self, **choice: Any) -> list[list[Any]]:
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=self.spec(**choice))
        answer = self.models.GetModelStatus(request, timeout=TIMEOUT_SECONDS)
        names = get_model_status_pb2.ModelVersionStatus.State
        return [
            [one.version, names.Name(one.state), one.status.error_code, one.status.error_message]
            for one in answer.model_version_status
        ]

    def rest(self) -> dict[str, bool]:
        encoded = [{"b64": base64.b64encode(image).decode()} for image in self.images]
        examples = [{"image/encoded": one} for one in encoded]
        return {
            "rows": self._same_json(":predict", {"instances": encoded}, "predictions"),
            "named_rows": self._same_json(
                ":predict",
                {"signature_name": "serving_bytes", "instances": [{"image_bytes": one} for one in encoded]},
                "predictions",
            ),
            "pixels": self._same_json(":predict", {"instances": self.pixels.tolist()}, "predictions"),
            "columns": self._same_json(":predict", {"inputs": {"image": self.pixels.tolist()}}, "outputs"),
            "version": bool(
                np.array_equal(
                    np.array(self.post("/versions/1:predict", {"instances": encoded})["predictions"], np.float32),
                    self.first_expected,
                )
            ),
            "classify": [
                [(label, np.float32(score)) for label, score in row]
                for row in self.post(":classify", {"examples": examples})["results"]
            ]
            == self._best(self.expected),
        }

    def post(self, path: str, body: Any) -> Any:
        request = urllib.request.Request(f"{self.url}{path}", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            return json.load(response)

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}{path}", timeout=TIMEOUT_SECONDS) as response:
            return json.load(response)

    def refused_rest(self) -> list[Any]:
        try:
            self.post(":predict", {"instances": [[[1.5]]]})
        except urllib.error.HTTPError as error:
            return [error.code, json.load(error)]
        raise AssertionError("it was answered")

    def _predict_values(self) -> Any:
        tensor = tf.make_tensor_proto(self.pixels)
        tensor.int_val.extend(tensor.tensor_content)
        tensor.ClearField("tensor_content")
        request = predict_pb2.PredictRequest(model_spec=self.spec(), inputs={"image": tensor})
        return self.prediction.Predict(request, timeout=TIMEOUT_SECONDS)

    def _serialized(self) -> list[bytes]:
        features = [tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])) for image in self.images]
        return [
            tf.train.Example(features=tf.train.Features(feature={"image/encoded": one})).SerializeToString()
            for one in features
        ]

    def _classified(self, given: Any) -> Any:
        request = classification_pb2.ClassificationRequest(model_spec=self.spec("classify"), input=given)
        answer = self.prediction.Classify(request, timeout=TIMEOUT_SECONDS)
        return [
            [(one.label, np.float32(one.score)) for one in found.classes] for found in answer.result.classifications
        ]

    def _best(self, scores: Any) -> Any:
        """Classes with scores, best first."""
        orders = np.argsort(-scores, axis=1, kind="stable")
        return [
            [(str(self.class_names[index]), row[index]) for index in order]
            for row, order in zip(scores, orders, strict=True)
        ]

    def _named(self, outputs: Any) -> bool:
        names = tf.make_ndarray(outputs["classes"]).astype(str)
        scores = tf.make_ndarray(outputs["scores"])
        found = [list(zip(*row, strict=True)) for row in zip(names.tolist(), scores, strict=True)]
        return bool(found == self._best(self.expected))

    def _same(self, answer: Any) -> bool:
        return bool(np.array_equal(_array(answer), self.expected))

    def _same_json(self, path: str, body: Any, key: str) -> bool:
        return bool(np.array_equal(np.array(self.post(path, body)[key], np.float32), self.expected))


class Operator:
    """With a token, of a server whose third version is broken."""

    def __init__(self, address: str, name: str, token: str) -> None:
        self.name = name
        self.metadata = [("authorization", f"Bearer {token}")]
        self.stub = model_service_pb2_grpc.ModelServiceStub(grpc.insecure_channel(address))

    def config(self, versions: list[int], labels: dict[str, int], base_path: str = "") -> Any:
        policy = {"specific": {"versions": versions}} if versions else None
        config = model_server_config_pb2.ModelConfig(
            name=self.name,
            base_path=base_path,
            model_platform="tensorflow",
            model_version_policy=policy,
            version_labels=labels,
        )
        request = model_management_pb2.ReloadConfigRequest()
        request.config.model_config_list.config.append(config)
        return request

    def reload(self, *config: Any, metadata: Any = None, **more: Any) -> int:
        request = self.config(*config, **more)
        answer = self.stub.HandleReloadConfigRequest(
            request, metadata=self.metadata if metadata is None else metadata, timeout=60
        )
        return int(answer.status.error_code)

    def states(self) -> dict[int, str]:
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=model_pb2.ModelSpec(name=self.name))
        names = get_model_status_pb2.ModelVersionStatus.State
        answer = self.stub.GetModelStatus(request, metadata=self.metadata, timeout=TIMEOUT_SECONDS)
        return {one.version: names.Name(one.state) for one in answer.model_version_status}

    def day(self) -> dict[str, Any]:
        return {
            "before": self.states(),
            "without_token": _refusal(lambda: self.reload([1, 2], {}, metadata=[])),
            "reloaded": self.reload([1, 2], {"canary": 1}),
            "after": self.states(),
            "broken": _refusal(lambda: self.reload([1, 3], {})),
            "elsewhere": _refusal(lambda: self.reload([1, 2], {}, base_path="/elsewhere")),
            "label": _refusal(lambda: self.reload([1, 2], {"canary": 3})),
            "unchanged": self.states(),
        }


def _array(answer: Any) -> Any:
    return tf.make_ndarray(answer.outputs["probabilities"])


def _refusal(call: Callable[[], Any]) -> list[str]:
    try:
        call()
    except grpc.RpcError as error:
        return [error.code().name, str(error.details())]
    raise AssertionError("it was answered")


def main() -> None:
    given = json.load(sys.stdin)
    client = Client(given)
    found = {
        "predictions": client.predictions(),
        "one_value_fills": client.one_value_fills(),
        "rejected": client.rejections(),
        "resolved": client.resolved(),
        "classifications": client.classifications(),
        "metadata": client.metadata(),
        "rest_metadata": client.get("/metadata"),
        "refusals": client.refusals(),
        "status": client.status(),
        "status_of_one": client.status(version=Int64Value(value=1)),
        "rest": client.rest(),
        "rest_status": client.get(""),
        "refused_rest": client.refused_rest(),
        "operator": Operator(given["admin_address"], given["model"], given["token"]).day(),
    }
    print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    main()
