"""Inference by TensorFlow Serving's protocol, as any server that speaks it offers it."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from google.protobuf.message import DecodeError

from cnnsvc.engines.base import Images, Scores
from cnnsvc.engines.upstream_channel import Method, UpstreamChannel
from cnnsvc.engines.upstream_signature import Signature, Tensor, read_signature, scores_of
from cnnsvc.errors import EngineError, NotReadyError
from cnnsvc.pb import tensorflow_pb2 as tf_pb
from cnnsvc.pb import tfs_pb2 as pb

_PREDICTION: Final = "/tensorflow.serving.PredictionService"
_SIGNATURE: Final = "serving_default"
_TYPES: Final[dict[int, str]] = {tf_pb.DT_UINT8: "UINT8", tf_pb.DT_FLOAT: "FP32"}


class Tfs:
    """One version of a model."""

    def __init__(self, channel: UpstreamChannel, model: str, version: int) -> None:
        self._spec = pb.ModelSpec(name=model, signature_name=_SIGNATURE)
        self._spec.version.value = version
        self._status = Method(
            channel,
            "/tensorflow.serving.ModelService/GetModelStatus",
            pb.GetModelStatusRequest,
            pb.GetModelStatusResponse,
        )
        self._metadata = Method(
            channel, f"{_PREDICTION}/GetModelMetadata", pb.GetModelMetadataRequest, pb.GetModelMetadataResponse
        )
        self._predict = Method(channel, f"{_PREDICTION}/Predict", pb.PredictRequest, pb.PredictResponse)

    def is_spoken(self, timeout_seconds: float) -> bool:
        return self._status.is_offered(pb.GetModelStatusRequest(model_spec=self._spec), timeout_seconds)

    def read(self, image_hwc: tuple[int, ...], num_classes: int, timeout_seconds: float) -> Signature:
        """Raises EngineError where the model takes or answers something else, and as a call."""
        status = self._status(pb.GetModelStatusRequest(model_spec=self._spec), timeout_seconds)
        states = [one.state for one in status.model_version_status]
        if pb.ModelVersionStatus.AVAILABLE not in states:
            found = ", ".join(map(pb.ModelVersionStatus.State.Name, states)) or "unknown"
            raise NotReadyError(
                f"the upstream's version {self._spec.version.value} of {self._spec.name} is {found}, not AVAILABLE"
            )
        request = pb.GetModelMetadataRequest(model_spec=self._spec, metadata_field=["signature_def"])
        response = self._metadata(request, timeout_seconds)
        try:  # by hand: its type_url names the public package, and not ours
            definitions = pb.SignatureDefMap.FromString(response.metadata["signature_def"].value).signature_def
        except DecodeError:
            raise EngineError("the upstream's signature_def is not a SignatureDefMap") from None
        if _SIGNATURE not in definitions:
            found = ", ".join(sorted(definitions)) or "none"
            raise EngineError(f"the upstream's signatures are {found}; expected {_SIGNATURE}")
        definition = definitions[_SIGNATURE]
        return read_signature(_tensors(definition.inputs), _tensors(definition.outputs), image_hwc, num_classes)

    def infer(self, images_nhwc: Images, num_classes: int, signature: Signature, timeout_seconds: float) -> Scores:
        """Float32 (N, K). Raises EngineError for an answer of another shape, and as a call."""
        request = pb.PredictRequest(model_spec=self._spec, output_filter=[signature.output_name])
        tensor = request.inputs[signature.input_name]
        tensor.dtype = tf_pb.DT_FLOAT if signature.is_float else tf_pb.DT_UINT8
        for size in images_nhwc.shape:
            tensor.tensor_shape.dim.add(size=size)
        tensor.tensor_content = (images_nhwc.astype("<f4") if signature.is_float else images_nhwc).tobytes()
        response = self._predict(request, timeout_seconds)
        scores = response.outputs[signature.output_name]
        raw = scores.tensor_content
        flat = np.frombuffer(raw, "<f4") if raw and len(raw) % 4 == 0 else np.array(scores.float_val, "<f4")
        shape = [dim.size for dim in scores.tensor_shape.dim]
        return scores_of(flat, _type(scores.dtype), shape, (len(images_nhwc), num_classes))


def _tensors(infos: Mapping[str, tf_pb.TensorInfo]) -> list[Tensor]:
    return [
        Tensor(
            name,
            _type(info.dtype),
            None if info.tensor_shape.unknown_rank else tuple(dim.size for dim in info.tensor_shape.dim),
        )
        for name, info in infos.items()
    ]


def _type(number: int) -> str:
    """In the words of the Open Inference Protocol, where we have use for it."""
    return _TYPES.get(number) or f"type {number}"
