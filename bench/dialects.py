"""How a photograph is put to each kind of server over HTTP, and where in its answer the best class stands."""

import base64
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

_JSON: Final = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Request:
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Dialect:
    path: str
    request: Callable[[bytes], Request]
    best_class: Callable[[Any], str]
    """Of the JSON that came."""


def _raw(photograph: bytes) -> Request:
    return Request({"Content-Type": "image/jpeg"}, photograph)


def _litserve(photograph: bytes) -> Request:
    return Request(_JSON, json.dumps({"image": _base64(photograph)}).encode())


def _kserve(photograph: bytes) -> Request:
    return Request(_JSON, json.dumps({"instances": [{"image": {"b64": _base64(photograph)}}]}).encode())


def _triton(photograph: bytes) -> Request:
    """The Open Inference protocol with its binary extension: a JSON header, then the tensor's bytes."""
    tensor = struct.pack("<I", len(photograph)) + photograph
    description = {"name": "photograph", "shape": [1, 1], "datatype": "BYTES"}
    header = json.dumps({"inputs": [{**description, "parameters": {"binary_data_size": len(tensor)}}]}).encode()
    return Request({"Inference-Header-Content-Length": str(len(header))}, header + tensor)


def _base64(photograph: bytes) -> str:
    return base64.b64encode(photograph).decode()


CNNSVC: Final = Dialect("/api/v1/classify", _raw, lambda answer: str(answer["results"][0]["classes"][0]["name"]))
RAW: Final = Dialect("/classify", _raw, lambda answer: str(answer["class"]))
LITSERVE: Final = Dialect("/classify", _litserve, lambda answer: str(answer["class"]))
KSERVE: Final = Dialect("/v1/models/classifier:predict", _kserve, lambda answer: str(answer["predictions"][0]["class"]))
TRITON: Final = Dialect("/v2/models/classifier/infer", _triton, lambda answer: str(answer["outputs"][0]["data"][0]))
