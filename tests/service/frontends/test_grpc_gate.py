"""Nothing of the gRPC front-end answers without permission."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
import pytest_asyncio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client import CollectorRegistry

from cnnsvc.pb import classifier_pb2 as pb
from cnnsvc.pb import classifier_pb2_grpc as pb_grpc
from cnnsvc.pb import oip_pb2
from service.access import Access, Scope, Token, hash_of
from service.frontends.grpc_boundary import ERROR_KIND_KEY
from service.frontends.grpc_calls import GrpcCalls
from service.frontends.grpc_gate import GrpcGate, scope_of
from service.frontends.grpc_server import bind_grpc, build_grpc_server
from service.frontends.native_grpc import NativeClassifier
from service.metrics import Metrics
from tests.bundles import manifest_of
from tests.encoded import encode
from tests.fakes import FakePredictor, FakeRegistry, served_model

TOKENS = [Token(str(scope), [scope], hash_of(f"for-{scope}")) for scope in Scope]


class Door:
    def __init__(self, public: frozenset[Scope] = frozenset()) -> None:
        self.prometheus = CollectorRegistry()
        metrics = Metrics(self.prometheus, version="test")
        self.predictor = FakePredictor()
        registry = FakeRegistry([served_model(manifest_of(), metrics)])
        classifier = NativeClassifier(self.predictor, registry, metrics, GrpcCalls(metrics))
        gate = GrpcGate(Access(lambda: TOKENS, public), metrics)
        self.server = build_grpc_server(
            [classifier.service()], health.aio.HealthServicer(), body_limit_bytes=100_000, interceptors=[gate]
        )
        port = bind_grpc(self.server, "127.0.0.1", 0)
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        stub: Any = pb_grpc.ClassifierStub(self.channel)
        image = encode("PNG")
        unknown: Any = self.channel.unary_unary("/cnnsvc.v1.Classifier/Unknown")
        self.calls: dict[str, Callable[[Any], Any]] = {
            "Classify": lambda metadata: stub.Classify(pb.ClassifyRequest(images=[image]), metadata=metadata),
            "ListModels": lambda metadata: stub.ListModels(pb.ListModelsRequest(), metadata=metadata),
            "GetModel": lambda metadata: stub.GetModel(
                pb.GetModelRequest(model="flowers", version=1), metadata=metadata
            ),
            "ClassifyStream": lambda metadata: _first(
                stub.ClassifyStream(iter([pb.ClassifyStreamRequest(id="1", image=image)]), metadata=metadata)
            ),
            "Unknown": lambda metadata: unknown(b"", metadata=metadata),
        }

    def num_refused(self, code: str) -> float:
        labels = {"protocol": "grpc", "method": "authorize", "model": "", "version": "", "code": code}
        return self.prometheus.get_sample_value("cnnsvc_request_duration_seconds_count", labels) or 0.0


async def _first(stream: Any) -> Any:
    answer = await stream.read()
    if answer is grpc.aio.EOF:
        raise grpc.aio.AioRpcError(
            await stream.code(),
            await stream.initial_metadata(),
            await stream.trailing_metadata(),
            await stream.details(),
        )
    return answer


@pytest_asyncio.fixture
async def door() -> AsyncIterator[Door]:
    opened = Door()
    await opened.server.start()
    yield opened
    await opened.channel.close()
    await opened.server.stop(0)


REFUSALS: list[tuple[list[tuple[str, str]], grpc.StatusCode, str]] = [
    ([], grpc.StatusCode.UNAUTHENTICATED, "unauthenticated"),
    ([("authorization", "Bearer other")], grpc.StatusCode.UNAUTHENTICATED, "unauthenticated"),
    ([("authorization", "Bearer for-classify")] * 2, grpc.StatusCode.UNAUTHENTICATED, "unauthenticated"),
    ([("authorization", "Bearer for-metrics")], grpc.StatusCode.PERMISSION_DENIED, "forbidden"),
]


@pytest.mark.parametrize(("metadata", "code", "kind"), REFUSALS)
async def test_every_method_wants_a_token(
    door: Door, metadata: list[tuple[str, str]], code: grpc.StatusCode, kind: str
) -> None:
    """Unary, streamed and unknown ones; the refusal has its kind and a request id, and the model hears of none."""
    for name, call in door.calls.items():
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(metadata)
        assert refused.value.code() is code, name
        trailing = dict(refused.value.trailing_metadata() or ())
        assert (trailing[ERROR_KIND_KEY], bool(trailing["x-request-id"])) == (kind, True)
    assert door.predictor.queries == []
    assert door.num_refused(kind) == len(door.calls)


async def test_its_own_token_opens_a_method(door: Door) -> None:
    """Each that there is; only one that there is not is still refused, as that."""
    for name, call in door.calls.items():
        if name != "Unknown":
            await call([("authorization", "Bearer for-classify")])
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await door.calls["Unknown"]([("authorization", "Bearer for-classify")])
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_what_opens_the_methods_of_open_inference() -> None:
    """Probes are open, loading is for admins, everything else wants what classification wants."""
    service = oip_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    scopes = {method.name: scope_of(f"/inference.GRPCInferenceService/{method.name}") for method in service.methods}
    assert {name for name, scope in scopes.items() if scope is None} == {"ServerLive", "ServerReady"}
    admin = {"RepositoryModelLoad", "RepositoryModelUnload"}
    assert {name for name, scope in scopes.items() if scope is Scope.ADMIN} == admin
    assert sum(scope is Scope.CLASSIFY for scope in scopes.values()) == len(scopes) - 4


async def test_health_and_reflection_are_open(door: Door) -> None:
    """Load balancers have no token."""
    health_stub: Any = health_pb2_grpc.HealthStub(door.channel)
    await health_stub.Check(health_pb2.HealthCheckRequest())
    reflection_stub: Any = reflection_pb2_grpc.ServerReflectionStub(door.channel)  # type: ignore[arg-type]  # as above
    stream = reflection_stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    assert (await stream.read()).list_services_response.service
