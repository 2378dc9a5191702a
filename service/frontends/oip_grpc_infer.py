"""Messages of the Open Inference protocol's ModelInfer to queries, and answers to messages."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from cnnsvc.errors import InvalidError
from cnnsvc.pb import oip_pb2 as pb
from service.call_record import CallRecord
from service.frontends.http_parameters import shown
from service.frontends.oip_outputs import WantedOutput, outputs_of, read_wanted
from service.frontends.oip_query import (
    Parameters,
    Target,
    build_query,
    earlier_deadline,
    refuse_shared_memory,
    require_one,
)
from service.frontends.oip_tensors import InputTensor, Numbers, check_count
from service.predictor import Answer, Query
from service.registry import Registry

_FIELDS: Final = {"UINT8": ("uint_contents", np.uint32), "FP32": ("fp32_contents", np.float32)}
_ANSWERED_FIELDS: Final = {"FP32": "fp32_contents", "BOOL": "bool_contents", "BYTES": "bytes_contents"}
_MOST_PARAMETERS: Final = 100


@dataclass(frozen=True, slots=True)
class Asked:
    """What is left of a request once its images are taken out."""

    query: Query
    wanted: list[WantedOutput]
    id: str
    is_raw: bool


def read_call(
    request: pb.ModelInferRequest,
    registry: Registry,
    max_images: int,
    deadline: float | None,
    record: CallRecord | None,
) -> Asked:
    """Raises InvalidError, UnsupportedError, TooLargeError, NotFoundError, NotReadyError."""
    wanted = read_wanted((one.name, parameters_of(one.parameters)) for one in request.outputs)
    target = Target.read(request.model_name, request.model_version)
    deadline = earlier_deadline(deadline, parameters_of(request.parameters))
    query = build_query(target, _tensors(request), registry, max_images, deadline, record)
    return Asked(query, wanted, request.id, bool(request.raw_input_contents))


def response_of(asked: Asked, answer: Answer) -> pb.ModelInferResponse:
    """Raw where the request was, so that whoever sent tensors one way reads them the same way."""
    response = pb.ModelInferResponse(model_name=answer.model, model_version=str(answer.version), id=asked.id)
    for output in outputs_of(answer, asked.wanted):
        described = response.outputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
        if asked.is_raw:
            response.raw_output_contents.append(output.raw())
        else:
            elements = output.values if isinstance(output.values, list) else output.numbers()
            getattr(described.contents, _ANSWERED_FIELDS[output.datatype]).extend(elements)
    return response


def parameters_of(parameters: Mapping[str, Any]) -> Parameters:
    """By name, as what they were sent; without those that have no value. Raises InvalidError for very many."""
    if len(parameters) > _MOST_PARAMETERS:
        raise InvalidError(f"{len(parameters)} parameters came; allowed are {_MOST_PARAMETERS}")
    found = {}
    for name in parameters:  # of a map of messages only its own lookup is typed as such
        value = parameters[name]
        choice = value.WhichOneof("parameter_choice")
        if choice:
            found[name] = getattr(value, choice)
    return found


def _tensors(request: pb.ModelInferRequest) -> list[InputTensor]:
    require_one(len(request.inputs))
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise InvalidError(f"{len(raw)} raw_input_contents came for {len(request.inputs)} inputs; expected one each")
    tensors = []
    for index, given in enumerate(request.inputs):
        refuse_shared_memory(parameters_of(given.parameters))
        if raw and given.HasField("contents"):
            raise InvalidError(f"input {shown(given.name)} has contents, and raw_input_contents came too")
        contents: Any = raw[index] if raw else _reader(given)
        tensors.append(InputTensor(given.name, given.datatype, list(given.shape), contents))
    return tensors


def _reader(given: pb.ModelInferRequest.InferInputTensor) -> Any:
    def elements(count: int) -> list[bytes] | Numbers:
        if given.datatype == "BYTES":
            check_count("elements", len(given.contents.bytes_contents), given.shape)
            return list(given.contents.bytes_contents)
        field, dtype = _FIELDS[given.datatype]
        values = getattr(given.contents, field)
        check_count("numbers", len(values), given.shape)
        return np.fromiter(values, dtype, len(values))

    return elements
