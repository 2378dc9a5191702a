"""POST /v2/models/{name}/infer: JSON, JSON with binary tensors behind it, or the bytes of one image."""

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from cnnsvc.errors import InvalidError
from service.frontends.http_call import CallLimits, Endpoint, HttpCall, Reply
from service.frontends.http_inflate import content_coding, inflate
from service.frontends.http_messages import MAX_VERSION
from service.frontends.http_parameters import read_integer, shown
from service.frontends.oip_json import (
    InferRequest,
    InferResponse,
    JsonInput,
    JsonOutput,
    has_data,
    read_data,
    read_request,
)
from service.frontends.oip_outputs import OutputTensor, WantedOutput, outputs_of, read_wanted
from service.frontends.oip_query import Target, build_query, earlier_deadline, refuse_shared_memory
from service.frontends.oip_tensors import INPUT_NAME, InputTensor
from service.metrics import Metrics
from service.predictor import Answer, Predictor, Query
from service.registry import Registry

JSON_LENGTH_HEADER: Final = b"inference-header-content-length"
_ENCODER: Final = msgspec.json.Encoder()


def infer_endpoint(predictor: Predictor, registry: Registry, metrics: Metrics, limits: CallLimits) -> Endpoint:
    async def answer(call: HttpCall) -> Reply:
        target = target_of(call.scope["path_params"])
        coding = content_coding(call.headers)
        json_length = _json_length(call.headers.get(JSON_LENGTH_HEADER))
        body = await _read_body(predictor, call, target, coding, is_raw=json_length == 0)
        asked = _asked(body, json_length, call, target, registry)
        del body  # encoded images are copies, and it would be held beside them
        found = await call.unless_gone(predictor.classify(asked.query))
        call.observed.model, call.observed.version = found.model, found.version
        return _reply(found, asked)

    return Endpoint("oip_infer", answer, metrics, predictor.admission, limits)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is left of a request once its images are taken out."""

    query: Query
    wanted: list[WantedOutput]
    id: str
    is_binary: bool
    """The outputs that do not say it themselves."""


def target_of(path_params: dict[str, str]) -> Target:
    return Target.read(path_params["name"], path_params.get("version", ""))


def _json_length(header: bytes | None) -> int | None:
    """Of the JSON before the binary data; 0 where there is none, None where there is nothing else."""
    if header is None:
        return None
    return read_integer("Inference-Header-Content-Length", header.decode("latin-1"), 0, MAX_VERSION)


async def _read_body(predictor: Predictor, call: HttpCall, target: Target, coding: str, *, is_raw: bool) -> bytes:
    def require_room(num_bytes: int) -> None:
        query = Query([], target.model, target.version, deadline=call.deadline, label=target.label)
        predictor.require_room(query, num_bytes)

    body = await call.read_body(require_room if is_raw and not coding else None)
    return await inflate(body, coding, predictor.admission, call.limits.body_limit_bytes) if coding else body


def _asked(body: bytes, json_length: int | None, call: HttpCall, target: Target, registry: Registry) -> _Asked:
    request, tensors = _read(body, json_length)
    parameters = request.parameters or {}
    wanted = read_wanted((one.name, one.parameters or {}) for one in request.outputs or ())
    deadline = earlier_deadline(call.deadline, parameters)
    query = build_query(target, tensors, registry, call.limits.max_images_per_call, deadline, call.observed.record)
    return _Asked(query, wanted, request.id or "", _is_binary(parameters))


def _read(body: bytes, json_length: int | None) -> tuple[InferRequest, list[InputTensor]]:
    if not body:
        raise InvalidError("the body is empty; expected a JSON object with inputs, or the bytes of one image")
    if json_length == 0:
        return InferRequest([]), [InputTensor(INPUT_NAME, "BYTES", [1], lambda count: [body])]
    if json_length is None:
        request, binary = read_request(body), memoryview(b"")
    else:
        if json_length > len(body):
            raise InvalidError(f"Inference-Header-Content-Length is {json_length}, and the body has {len(body)} bytes")
        request, binary = read_request(memoryview(body)[:json_length]), memoryview(body)[json_length:]
    tensors = []
    for given in request.inputs:
        num_bytes = _binary_bytes(given, len(binary), is_only=len(request.inputs) == 1)
        refuse_shared_memory(given.parameters or {})
        if num_bytes is None:
            tensors.append(read_data(given))
            continue
        if num_bytes > len(binary):
            raise InvalidError(
                f"input {shown(given.name)} says that it has {num_bytes} bytes of binary data, and {len(binary)} are"
                " left behind the JSON (Inference-Header-Content-Length)"
            )
        tensors.append(InputTensor(given.name, given.datatype, given.shape, binary[:num_bytes]))
        binary = binary[num_bytes:]
    if binary:
        raise InvalidError(f"{len(binary)} bytes came behind the JSON that belong to no input (binary_data_size)")
    return request, tensors


def _binary_bytes(given: JsonInput, num_left: int, *, is_only: bool) -> int | None:
    """None where the data stands in the JSON. A lone input need not say how many bytes follow."""
    size: Any = (given.parameters or {}).get("binary_data_size")
    if size is None:
        return num_left if num_left and is_only and not has_data(given) else None
    if type(size) is not int or size < 0:
        raise InvalidError(f"parameter binary_data_size is {shown(str(size))}; expected a number of bytes")
    if has_data(given):
        raise InvalidError(f"input {shown(given.name)} has data both in the JSON and behind it")
    return size


def _is_binary(parameters: dict[str, Any]) -> bool:
    value = parameters.get("binary_data_output", False)
    if not isinstance(value, bool):
        raise InvalidError(f"parameter binary_data_output is {shown(str(value))}; expected true or false")
    return value


def _reply(answer: Answer, asked: _Asked) -> Reply:
    described, binary = [], []
    for output, wanted in zip(outputs_of(answer, asked.wanted), asked.wanted, strict=True):
        is_binary = asked.is_binary if wanted.is_binary is None else wanted.is_binary
        if is_binary:
            binary.append(output.raw())
        described.append(_described(output, len(binary[-1]) if is_binary else None))
    text = _ENCODER.encode(InferResponse(answer.model, str(answer.version), described, asked.id or msgspec.UNSET))
    if not binary:
        return Reply(text)
    headers = ((JSON_LENGTH_HEADER, b"%d" % len(text)),)
    return Reply(text + b"".join(binary), b"application/octet-stream", headers)


def _described(output: OutputTensor, num_bytes: int | None) -> JsonOutput:
    """With its values, or how many bytes of them stand behind the JSON."""
    if num_bytes is not None:
        parameters = {"binary_data_size": num_bytes}
        return JsonOutput(output.name, output.datatype, output.shape, parameters)
    return JsonOutput(output.name, output.datatype, output.shape, data=_json_values(output))


def _json_values(output: OutputTensor) -> list[float] | list[bool] | list[str]:
    if isinstance(output.values, list):
        return [value.decode() for value in output.values]
    return output.numbers()
