"""What a call of the Open Inference protocol asks, from the words of either door to a query."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnnsvc.errors import InvalidError, UnsupportedError
from service.call_record import CallRecord
from service.frontends.http_messages import MAX_VERSION
from service.frontends.http_parameters import read_integer, shown
from service.frontends.oip_tensors import InputTensor, encoded_images, is_encoded, pixel_images
from service.predictor import Query
from service.registry import Registry, ServedModel

Parameters = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """The model that a call names; where it says version it may name a label instead."""

    model: str
    version: int = 0
    label: str = ""

    @classmethod
    def read(cls, model: str, version: str) -> "Target":
        """Raises InvalidError. No label begins with a digit."""
        if version[:1].isdigit():
            return cls(model, read_integer("the version", version, 1, MAX_VERSION))
        return cls(model, label=version)

    def served(self, registry: Registry) -> ServedModel:
        """Raises NotFoundError, NotReadyError."""
        return registry.get(self.model, self.version, self.label)


def build_query(
    target: Target,
    tensors: Sequence[InputTensor],
    registry: Registry,
    max_images: int,
    deadline: float | None,
    record: CallRecord | None,
) -> Query:
    """Raises InvalidError, UnsupportedError, TooLargeError; for pixels also NotFoundError or NotReadyError."""
    require_one(len(tensors))
    (tensor,) = tensors
    if is_encoded(tensor):
        images = encoded_images(tensor, max_images)
        return Query(images, target.model, target.version, None, deadline, target.label, record)
    # Which pixels a version takes is its own matter, so the one that was asked for them answers.
    manifest = target.served(registry).manifest
    return Query(
        pixel_images(tensor, manifest.image, max_images), manifest.name, manifest.version, None, deadline, "", record
    )


def require_one(num_inputs: int) -> None:
    """Raises InvalidError."""
    if num_inputs != 1:
        raise InvalidError(f"{num_inputs} inputs came; expected one")


def earlier_deadline(deadline: float | None, parameters: Parameters) -> float | None:
    """The earlier of the call's and of the parameter timeout, in microseconds; 0 is none. Raises InvalidError."""
    timeout = parameters.get("timeout", 0)
    if type(timeout) is not int or timeout < 0:  # True is an int too
        raise InvalidError(f"parameter timeout is {shown(str(timeout))}; expected a whole number of microseconds")
    if not timeout:
        return deadline
    own = time.monotonic() + timeout / 1_000_000
    return own if deadline is None else min(deadline, own)


def refuse_shared_memory(parameters: Parameters) -> None:
    """Raises UnsupportedError."""
    if "shared_memory_region" in parameters:
        raise UnsupportedError("tensors in shared memory are not offered; send them in the call")
