"""The descriptors that the reflection service tells."""

from typing import Any

from cnnsvc.pb import classifier_pb2, oip_pb2, tfs_pb2
from service.frontends.grpc_reflection import public_pool


def test_foreign_messages_have_their_public_names() -> None:
    """Services, messages and the types of fields stand under the names that clients of those protocols know."""
    pool: Any = public_pool([tfs_pb2.DESCRIPTOR, oip_pb2.DESCRIPTOR])
    service = pool.FindServiceByName("tensorflow.serving.PredictionService")
    request = service.methods_by_name["Predict"].input_type
    assert request.full_name == "tensorflow.serving.PredictRequest"
    tensor = request.fields_by_name["inputs"].message_type.fields_by_name["value"].message_type
    assert tensor.full_name == "tensorflow.TensorProto"
    assert tensor.fields_by_name["dtype"].enum_type.full_name == "tensorflow.DataType"
    infer = pool.FindServiceByName("inference.GRPCInferenceService").methods_by_name["ModelInfer"]
    assert infer.output_type.full_name == "inference.ModelInferResponse"
    assert pool.FindMessageTypeByName("inference.ModelInferRequest.InferInputTensor").full_name


def test_our_own_messages_keep_their_names() -> None:
    """Nothing of the native API is renamed, numbers and types included."""
    pool = public_pool([classifier_pb2.DESCRIPTOR])
    found = pool.FindServiceByName("cnnsvc.v1.Classifier").methods_by_name["Classify"].input_type
    own = classifier_pb2.ClassifyRequest.DESCRIPTOR
    assert found.full_name == own.full_name
    assert [(field.name, field.number, field.type) for field in found.fields] == [
        (field.name, field.number, field.type) for field in own.fields
    ]
