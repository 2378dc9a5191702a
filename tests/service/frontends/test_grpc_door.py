"""The gRPC door stays open, whatever is sent to it."""

import asyncio
import socket

import grpc
import pytest
from grpc_health.v1 import health
from prometheus_client import CollectorRegistry

from bench.faults.frame_attacks import path_of_noise
from cnnsvc.pb import classifier_pb2 as pb
from cnnsvc.pb import classifier_pb2_grpc as pb_grpc
from service.frontends.grpc_calls import GrpcCalls
from service.frontends.grpc_door import GrpcDoor
from service.frontends.grpc_server import build_grpc_server
from service.frontends.native_grpc import NativeClassifier
from service.metrics import Metrics
from tests.encoded import encode
from tests.fakes import FakePredictor, FakeRegistry
from tests.service.frontends.http_door import until

NUM_ATTACKS = 3


def _door() -> GrpcDoor:
    metrics = Metrics(CollectorRegistry(), version="0")
    classifier = NativeClassifier(FakePredictor(), FakeRegistry(), metrics, GrpcCalls(metrics))
    servicer = health.aio.HealthServicer()
    return GrpcDoor(lambda: build_grpc_server([classifier.service()], servicer, body_limit_bytes=100_000))


async def test_a_path_that_is_no_text_does_not_close_it(caplog: pytest.LogCaptureFixture) -> None:
    """grpcio's own server ends at such a call; the port answers again, as often as one comes, and the log says so."""
    door = _door()
    port = door.bind("127.0.0.1", 0)
    await door.start()
    told = "gRPC ended its server (UnicodeDecodeError); it is started anew"
    for _ in range(NUM_ATTACKS):
        await _classify(port)
        caplog.clear()
        await asyncio.to_thread(_attack, port)
        await until(lambda: told in caplog.messages)
    await _classify(port)
    caplog.clear()
    await door.stop(1)
    assert told not in caplog.messages


async def test_a_door_that_is_stopped_stays_closed() -> None:
    """Nothing opens it again."""
    door = _door()
    port = door.bind("127.0.0.1", 0)
    await door.start()
    await door.stop(0)
    await asyncio.sleep(0.2)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


def _attack(port: int) -> None:
    """Until the server ends the connection, whatever it has to say."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(path_of_noise().bytes_sent)
        sock.recv(65_536)


async def _classify(port: int) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        classify = pb_grpc.ClassifierStub(channel).Classify
        await classify(pb.ClassifyRequest(images=[encode("JPEG")]), wait_for_ready=True, timeout=10)
