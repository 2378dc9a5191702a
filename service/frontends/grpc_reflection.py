"""What the reflection service tells: every service with its messages under the names that clients know.

Messages of foreign protocols are declared in packages of our own (proto/cnnsvc/pb/tensorflow.proto says why); here they
get their public names, in a descriptor pool that nothing else looks into.
"""

from collections.abc import Iterable
from typing import Final

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

PUBLIC_PACKAGES: Final = {
    "cnnsvc.tensorflow": "tensorflow",
    "cnnsvc.tfs": "tensorflow.serving",
    "cnnsvc.oip": "inference",
}


def public_pool(files: Iterable[FileDescriptor]) -> DescriptorPool:
    """The files and all that they import, packages renamed."""
    pool = DescriptorPool()
    added: set[str] = set()

    def add(file: FileDescriptor) -> None:
        if file.name in added:
            return
        added.add(file.name)
        for imported in file.dependencies:
            add(imported)
        pool.Add(_renamed(file))

    for file in files:
        add(file)
    return pool


def _renamed(file: FileDescriptor) -> FileDescriptorProto:
    proto = FileDescriptorProto()
    file.CopyToProto(proto)
    proto.package = PUBLIC_PACKAGES.get(proto.package, proto.package)
    for message in proto.message_type:
        _rename_types(message)
    for service in proto.service:
        for method in service.method:
            method.input_type, method.output_type = _public(method.input_type), _public(method.output_type)
    return proto


def _rename_types(message: DescriptorProto) -> None:
    for field in message.field:
        if field.type_name:  # to set "" would be a name too
            field.type_name = _public(field.type_name)
    for nested in message.nested_type:
        _rename_types(nested)


def _public(type_name: str) -> str:
    """Of the full name of a type, which begins with a dot; of anything else itself."""
    for private, public in PUBLIC_PACKAGES.items():
        if type_name.startswith(f".{private}."):
            return f".{public}.{type_name.removeprefix(f'.{private}.')}"
    return type_name
