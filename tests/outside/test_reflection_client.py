"""A client that has no stubs: it learns services and messages by reflection, and calls them."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.e2e.server import Server

pytestmark = pytest.mark.slow


@pytest.fixture
def channel(server: Server) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.grpc_address) as channel:
        yield channel


@pytest.fixture
def reflected(channel: grpc.Channel) -> ProtoReflectionDescriptorDatabase:
    return ProtoReflectionDescriptorDatabase(channel)


def test_services_are_listed(reflected: ProtoReflectionDescriptorDatabase) -> None:
    """By the names that clients call."""
    assert {"cnnsvc.v1.Classifier", "grpc.health.v1.Health", "inference.GRPCInferenceService"} <= set(
        reflected.get_services()
    )


def test_open_inference(channel: grpc.Channel, reflected: ProtoReflectionDescriptorDatabase) -> None:
    """ServerMetadata and ModelMetadata are called with nothing but what was reflected."""
    pool = DescriptorPool(reflected)
    service = "inference.GRPCInferenceService"
    assert _call(channel, pool, service, "ServerMetadata").name == "cnnsvc"
    metadata = _call(channel, pool, service, "ModelMetadata", name="flowers")
    assert [one.name for one in metadata.inputs] == ["image"]


def test_every_service_is_complete(reflected: ProtoReflectionDescriptorDatabase) -> None:
    """Each that is listed is described with all that its messages are made of."""
    pool = DescriptorPool(reflected)
    for name in reflected.get_services():
        service: Any = pool.FindServiceByName(name)
        for method in service.methods:
            for described in (method.input_type, method.output_type):
                assert message_factory.GetMessageClass(described)().SerializeToString() == b""


def test_tensorflow_serving_where_it_is_offered(
    channel: grpc.Channel, reflected: ProtoReflectionDescriptorDatabase
) -> None:
    """The versions of a model are asked for likewise."""
    service = "tensorflow.serving.ModelService"
    for name in {service} & set(reflected.get_services()):
        pool = DescriptorPool(reflected)
        status = _call(channel, pool, name, "GetModelStatus", model_spec={"name": "flowers"})
        assert sorted(one.version for one in status.model_version_status) == [1, 2]


def _call(channel: grpc.Channel, pool: DescriptorPool, service: str, method: str, **fields: Any) -> Any:
    found: Any = pool.FindServiceByName(service)
    described = found.methods_by_name[method]
    takes, answers = map(message_factory.GetMessageClass, (described.input_type, described.output_type))
    call: Any = channel.unary_unary(
        f"/{service}/{method}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=answers.FromString,
    )
    return call(takes(**fields), timeout=30)
