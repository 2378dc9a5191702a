"""Requests that nobody would write: each is answered or refused as the caller's mistake, never as ours."""

import asyncio
import contextlib
import json
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnsvc.errors import InvalidError, NotFoundError, TooLargeError, UnsupportedError
from cnnsvc.pb import oip_pb2 as pb
from service.frontends.grpc_boundary import parse
from service.frontends.oip_grpc_infer import read_call
from tests.service.frontends.oip_door import open_door

pytestmark = pytest.mark.slow

_QUICK = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))

_numbers = st.integers(-(2**70), 2**70) | st.integers(-1, 3) | st.floats()
_leaves = st.none() | st.booleans() | _numbers | st.text(max_size=8)
_anything = st.recursive(
    _leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner)
)
_names = st.sampled_from(["image", "probabilities", "", "x"])
_types = st.sampled_from(["UINT8", "FP32", "BYTES", "FP16", ""])
_shapes = st.sampled_from([[1], [1, 1], [1, 24, 32, 3], [1, 3, 24, 32], [-1, 24, 32, 3], [2**63 - 1], [0], []])
_parameters = st.fixed_dictionaries(
    {},
    optional={
        "binary_data_size": _anything,
        "content_type": st.just("base64") | _anything,
        "classification": _anything,
        "binary_data": _anything,
        "timeout": _anything,
        "binary_data_output": _anything,
    },
)
_tensors = st.fixed_dictionaries(
    {"name": _names, "datatype": _types, "shape": _shapes | st.lists(_numbers, max_size=5)},
    optional={"parameters": _parameters, "data": _anything},
)
_requests = st.fixed_dictionaries(
    {"inputs": st.lists(_tensors, min_size=1, max_size=1) | _anything},
    optional={
        "outputs": st.lists(st.fixed_dictionaries({"name": _names}, optional={"parameters": _parameters})) | _anything,
        "parameters": _parameters,
        "id": _anything,
    },
)


@_QUICK
@given(_requests, st.binary(max_size=20), st.none() | st.integers(-1, 200))
def test_over_http(request: Any, binary: bytes, length: int | None) -> None:
    """Whatever the JSON, what follows it and the length that is said of it."""

    async def ask() -> int:
        text = json.dumps(request).encode()
        headers = {} if length is None else {"Inference-Header-Content-Length": str(length % (len(text) + 5))}
        async with open_door().client() as client:
            response = await client.post("/v2/models/flowers/infer", content=text + binary, headers=headers)
            return response.status_code

    assert asyncio.run(ask()) < 500


def _garbled(seed: int, message: pb.ModelInferRequest) -> bytes:
    """The message with some of its bytes changed."""
    draw = random.Random(seed)
    spoiled = bytearray(message.SerializeToString())
    for _ in range(draw.randint(0, 4)):
        spoiled[draw.randrange(len(spoiled))] = draw.randrange(256)
    return bytes(spoiled)


@_QUICK
@given(st.integers(0, 2**32), _names, _types, _shapes, st.binary(max_size=20), st.booleans())
def test_over_grpc(seed: int, name: str, datatype: str, shape: list[int], data: bytes, is_raw: bool) -> None:
    """Whatever the message, whole or garbled on the way."""
    tensor = pb.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=shape)
    if not is_raw:
        tensor.contents.bytes_contents.append(data)
        tensor.contents.fp32_contents.extend(data)
        tensor.contents.uint_contents.extend(data)
    message = pb.ModelInferRequest(model_name="flowers", inputs=[tensor], raw_input_contents=[data] if is_raw else [])

    async def read() -> None:
        read_call(parse(pb.ModelInferRequest, _garbled(seed, message)), open_door().registry, 4, None, None)

    with contextlib.suppress(InvalidError, NotFoundError, UnsupportedError, TooLargeError):
        asyncio.run(read())
