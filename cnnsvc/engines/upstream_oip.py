"""Inference by the Open Inference Protocol, which Triton, KServe and others speak."""

from typing import Any, Final

import numpy as np

from cnnsvc.engines.base import Images, Scores
from cnnsvc.engines.upstream_channel import Message, Method, UpstreamChannel
from cnnsvc.engines.upstream_signature import Signature, Tensor, read_signature, scores_of
from cnnsvc.errors import EngineError
from cnnsvc.pb import oip_pb2 as pb

_SERVICE: Final = "/inference.GRPCInferenceService"


class Oip:
    """One version of a model."""

    def __init__(self, channel: UpstreamChannel, model: str, version: int) -> None:
        self._model = model
        self._version = str(version)

        def method(name: str, request: type[Message], response: type[Message]) -> Method:
            return Method(channel, f"{_SERVICE}/{name}", request, response)

        self._live = method("ServerLive", pb.ServerLiveRequest, pb.ServerLiveResponse)
        self._metadata = method("ModelMetadata", pb.ModelMetadataRequest, pb.ModelMetadataResponse)
        self._infer = method("ModelInfer", pb.ModelInferRequest, pb.ModelInferResponse)

    def is_spoken(self, timeout_seconds: float) -> bool:
        return self._live.is_offered(pb.ServerLiveRequest(), timeout_seconds)

    def read(self, image_hwc: tuple[int, ...], num_classes: int, timeout_seconds: float) -> Signature:
        """Raises EngineError where the model takes or answers something else, and as a call."""
        request = pb.ModelMetadataRequest(name=self._model, version=self._version)
        metadata = self._metadata(request, timeout_seconds)
        if metadata.versions and self._version not in metadata.versions:
            raise EngineError(
                f"the upstream's versions of {self._model} are {', '.join(metadata.versions)}; expected {self._version}"
            )
        return read_signature(_tensors(metadata.inputs), _tensors(metadata.outputs), image_hwc, num_classes)

    def infer(self, images_nhwc: Images, num_classes: int, signature: Signature, timeout_seconds: float) -> Scores:
        """Float32 (N, K). Raises EngineError for an answer of another shape, and as a call."""
        request = pb.ModelInferRequest(model_name=self._model, model_version=self._version)
        request.inputs.add(
            name=signature.input_name, datatype="FP32" if signature.is_float else "UINT8", shape=images_nhwc.shape
        )
        request.outputs.add(name=signature.output_name)
        raw = (images_nhwc.astype("<f4") if signature.is_float else images_nhwc).tobytes()
        request.raw_input_contents.append(raw)
        response = self._infer(request, timeout_seconds)
        return _scores(response, signature.output_name, (len(images_nhwc), num_classes))


def _tensors(found: Any) -> list[Tensor]:
    return [Tensor(one.name, one.datatype, tuple(one.shape)) for one in found]


def _scores(response: pb.ModelInferResponse, name: str, expected: tuple[int, int]) -> Scores:
    """Raises EngineError where they are not there or not as expected."""
    place = next((place for place, output in enumerate(response.outputs) if output.name == name), None)
    if place is None:
        names = ", ".join(output.name for output in response.outputs) or "none"
        raise EngineError(f"the upstream answered the outputs {names}; expected {name}")
    output, raws = response.outputs[place], response.raw_output_contents
    raw = raws[place] if len(raws) > place else b""
    flat = np.frombuffer(raw, "<f4") if raw and len(raw) % 4 == 0 else np.array(output.contents.fp32_contents, "<f4")
    return scores_of(flat, output.datatype, output.shape, expected)
