"""The page of gRPC methods and messages, from the descriptors of the stubs and the comments of the .proto."""

from pathlib import Path
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor

from cnnsvc.pb import classifier_pb2
from docs.generator.markdown import anchor, code, joined, link, table, text
from docs.generator.proto_comments import comments_of

_SOURCE: Final = Path(__file__).parents[2] / "proto" / "cnnsvc" / "pb" / "classifier.proto"
_SCALARS: Final = {
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_FLOAT: "float",
    FieldDescriptor.TYPE_DOUBLE: "double",
    FieldDescriptor.TYPE_BOOL: "bool",
}


def page() -> str:
    comments = comments_of(_SOURCE.read_text(encoding="utf-8"))
    file: Any = classifier_pb2.DESCRIPTOR
    services = [
        joined(
            f"## {service.full_name}",
            table(("method", "takes", "answers", "is"), (_method_row(one, comments) for one in service.methods)),
        )
        for service in file.services_by_name.values()
    ]
    return joined(
        "# gRPC API",
        text(comments[file.package]),
        "The source is [classifier.proto](../../proto/cnnsvc/pb/classifier.proto). Reflection is on, and"
        " `grpc.health.v1.Health` answers for the server and for the service by name. The caller's metadata"
        " `x-request-id` comes back as trailing metadata and stands in the log. Errors: [errors.md](errors.md).",
        *services,
        "## Messages",
        *(_message(one, comments) for one in file.message_types_by_name.values()),
    )


def _method_row(method: MethodDescriptor, comments: dict[str, str]) -> list[str]:
    takes = f"{'stream of ' * bool(method.client_streaming)}{_linked(method.input_type)}"
    answers = f"{'stream of ' * bool(method.server_streaming)}{_linked(method.output_type)}"
    return [code(method.name), takes, answers, text(comments.get(method.full_name, ""))]


def _message(message: Descriptor, comments: dict[str, str]) -> str:
    rows = [[code(one.name), _type(one), text(comments.get(one.full_name, ""))] for one in message.fields]
    fields = table(("field", "type", "is"), rows) or "No fields."
    return joined(f"### {message.name}", text(comments.get(message.full_name, "")), fields)


def _type(field: FieldDescriptor) -> str:
    word = _SCALARS[field.type] if field.message_type is None else _linked(field.message_type)
    if field.is_repeated:
        return f"list of {word}"
    oneof = field.containing_oneof
    if oneof is None:
        return word
    # proto3 keeps an optional field in a oneof of its own.
    return f"{word}, optional" if len(oneof.fields) == 1 else f"{word}, one of {oneof.name}"


def _linked(message: Descriptor) -> str:
    return link(message.name, anchor(message.name))
