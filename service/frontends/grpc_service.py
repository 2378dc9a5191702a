"""A service of the gRPC door: its public name, and the functions that answer its methods."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import grpc
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message import Message

from service.frontends.grpc_boundary import Context

Unary = Callable[[bytes, Context], Awaitable[Message | None]]
Stream = Callable[[AsyncIterator[bytes], Context], Awaitable[None]]
"""Reads and writes through the context."""


@dataclass(frozen=True)
class GrpcService:
    name: str
    """As clients call it; the package of its messages may be another (service.frontends.grpc_reflection)."""
    file: FileDescriptor
    unary: Mapping[str, Unary]
    streams: Mapping[str, Stream] = field(default_factory=dict)

    def handler(self) -> grpc.GenericRpcHandler:
        """Requests reach the methods as bytes: gRPC would answer UNKNOWN to those that it cannot parse, uncounted."""
        handlers: dict[str, grpc.RpcMethodHandler[bytes, Message]] = {
            name: grpc.unary_unary_rpc_method_handler(method, response_serializer=_serialize)
            for name, method in self.unary.items()
        }
        for name, method in self.streams.items():
            handlers[name] = grpc.stream_stream_rpc_method_handler(method, response_serializer=_serialize)
        return grpc.method_handlers_generic_handler(self.name, handlers)


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()
