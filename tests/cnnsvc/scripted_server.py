"""A gRPC server that answers as a test tells it, and counts what it was asked."""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from cnnsvc.pb import classifier_pb2 as pb
from cnnsvc.pb import classifier_pb2_grpc as pb_grpc

RESULT = pb.StreamResult(model="flowers", version=1, classes=[pb.ScoredClass(name="rose", score=1.0)])
Requests = Iterator[pb.ClassifyStreamRequest]


class ScriptedServer(pb_grpc.ClassifierServicer):
    def __init__(self) -> None:
        self.num_calls = 0
        self.before: Callable[[int, Any], None] = lambda num_calls, context: None
        """Runs first in every call but streams, with the number of calls so far; may end it."""
        self.stream: Callable[[Requests, Any], Iterator[pb.ClassifyStreamResponse]] = answer_all
        self.address = ""

    def Classify(self, request: pb.ClassifyRequest, context: Any) -> pb.ClassifyResponse:  # noqa: N802  # gRPC's name
        self.num_calls += 1
        self.before(self.num_calls, context)
        results = [pb.Result(classes=RESULT.classes)] * len(request.images)
        return pb.ClassifyResponse(model="flowers", version=1, results=results)

    def GetModel(self, request: pb.GetModelRequest, context: Any) -> pb.Model:  # noqa: N802  # gRPC's name
        self.num_calls += 1
        self.before(self.num_calls, context)
        return pb.Model(name="flowers", version=1)

    def ClassifyStream(  # noqa: N802  # gRPC's name
        self, request_iterator: Requests, context: Any
    ) -> Iterator[pb.ClassifyStreamResponse]:
        self.num_calls += 1
        yield from self.stream(request_iterator, context)


def answer_all(requests: Requests, context: Any) -> Iterator[pb.ClassifyStreamResponse]:
    for request in requests:
        yield pb.ClassifyStreamResponse(id=request.id, result=RESULT)


@contextlib.contextmanager
def scripted(address: str = "127.0.0.1:0") -> Iterator[ScriptedServer]:
    servicer = ScriptedServer()
    server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.max_receive_message_length", 32 * 1024 * 1024)])
    pb_grpc.add_ClassifierServicer_to_server(servicer, server)
    servicer.address = f"127.0.0.1:{server.add_insecure_port(address)}"
    server.start()
    try:
        yield servicer
    finally:
        server.stop(0).wait(10)
