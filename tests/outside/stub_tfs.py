"""A TensorFlow Serving of tensorflow-serving-api's own classes: `python stub_tfs.py WEIGHTS.npy`, prints its port."""

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from stub_network import scores  # type: ignore[import-not-found]  # beside this file, which runs by its path
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

WEIGHTS = np.load(sys.argv[1])
SHAPE = 24, 32, 3


class Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]  # without types
    def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802  # gRPC's name
        images = tf.make_ndarray(request.inputs["image"])
        assert images.dtype == np.uint8
        response = predict_pb2.PredictResponse(model_spec=request.model_spec)
        response.outputs["probabilities"].CopyFrom(tf.make_tensor_proto(scores(images, WEIGHTS)))
        return response

    def GetModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802  # gRPC's name
        signatures = get_model_metadata_pb2.SignatureDefMap()
        signature = signatures.signature_def["serving_default"]
        signature.method_name = "tensorflow/serving/predict"
        tensors = (signature.inputs["image"], tf.uint8, SHAPE), (signature.outputs["probabilities"], tf.float32, (3,))
        for tensor, kind, shape in tensors:
            tensor.dtype = kind.as_datatype_enum
            tensor.tensor_shape.CopyFrom(tf.TensorShape([None, *shape]).as_proto())
        response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=request.model_spec)
        response.metadata["signature_def"].Pack(signatures)
        return response


class Models(model_service_pb2_grpc.ModelServiceServicer):  # type: ignore[misc]  # without types
    def GetModelStatus(self, request: Any, context: Any) -> Any:  # noqa: N802  # gRPC's name
        response = get_model_status_pb2.GetModelStatusResponse()
        status = response.model_version_status.add(version=request.model_spec.version.value)
        status.state = get_model_status_pb2.ModelVersionStatus.AVAILABLE
        return response


server = grpc.server(ThreadPoolExecutor(4))
prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Prediction(), server)
model_service_pb2_grpc.add_ModelServiceServicer_to_server(Models(), server)
sys.stdout.write(f"{server.add_insecure_port('127.0.0.1:0')}\n")
sys.stdout.flush()
server.start()
server.wait_for_termination(120)
