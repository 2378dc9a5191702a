"""tensorflow.serving.PredictionService over gRPC: messages to queries and answers to messages."""

from typing import Final

from google.protobuf.any_pb2 import Any as AnyMessage

from cnnsvc.errors import InvalidError, UnimplementedError
from cnnsvc.pb import tfs_pb2 as pb
from service.frontends.grpc_boundary import Context, deadline_of, parse
from service.frontends.grpc_calls import GrpcCalls
from service.frontends.grpc_service import GrpcService
from service.frontends.tfs_answers import query_of, tensor_of
from service.frontends.tfs_examples import images_of_input
from service.frontends.tfs_models import find_model, spec_of
from service.frontends.tfs_signatures import (
    find_classify_signature,
    find_signature,
    signature_defs,
    wanted_outputs,
)
from service.frontends.tfs_tensors import read_inputs
from service.health import TFS_PREDICTION_SERVICE
from service.metrics import ObservedRequest
from service.predictor import Predictor
from service.registry import Registry

SIGNATURE_DEF: Final = "signature_def"
_TYPE_URL: Final = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
"""The public name: that of our own message is another."""
NO_REGRESSION: Final = "regression is not offered: the models classify images; use Classify or Predict"
_NO_MULTI_INFERENCE: Final = "MultiInference is not offered: a model has one classification; use Classify or Predict"


class TfsPrediction:
    def __init__(self, predictor: Predictor, registry: Registry, calls: GrpcCalls, max_images_per_call: int) -> None:
        self._predictor = predictor
        self._registry = registry
        self._calls = calls
        self._max_images = max_images_per_call

    def service(self) -> GrpcService:
        return GrpcService(
            TFS_PREDICTION_SERVICE,
            pb.DESCRIPTOR,
            {
                "Predict": self.Predict,
                "Classify": self.Classify,
                "GetModelMetadata": self.GetModelMetadata,
                "Regress": self.Regress,
                "MultiInference": self.MultiInference,
            },
        )

    async def Predict(  # noqa: N802  # its name in the .proto
        self, request_bytes: bytes, context: Context
    ) -> pb.PredictResponse | None:
        async def answer(observed: ObservedRequest) -> pb.PredictResponse:
            request = parse(pb.PredictRequest, request_bytes)
            _require_spec(request)
            served = find_model(self._registry, request.model_spec)
            signature = find_signature(request.model_spec.signature_name)
            outputs = wanted_outputs(signature, request.output_filter)
            images = read_inputs(signature, request.inputs, served.manifest.image, self._max_images)
            found = await self._predictor.classify(
                query_of(signature, served.manifest, images, deadline_of(context), observed.record)
            )
            observed.model, observed.version = found.model, found.version
            return pb.PredictResponse(
                outputs={name: tensor_of(name, found) for name in outputs}, model_spec=spec_of(served, signature.name)
            )

        return await self._calls.serve("tfs_predict", context, answer)

    async def Classify(  # noqa: N802  # as above
        self, request_bytes: bytes, context: Context
    ) -> pb.ClassificationResponse | None:
        async def answer(observed: ObservedRequest) -> pb.ClassificationResponse:
            request = parse(pb.ClassificationRequest, request_bytes)
            _require_spec(request)
            served = find_model(self._registry, request.model_spec)
            signature = find_classify_signature(request.model_spec.signature_name)
            images = images_of_input(request.input, self._max_images)
            found = await self._predictor.classify(
                query_of(signature, served.manifest, images, deadline_of(context), observed.record)
            )
            observed.model, observed.version = found.model, found.version
            rows = [
                pb.Classifications(classes=[pb.Class(label=name, score=score) for name, score in result])
                for result in found.results
            ]
            result = pb.ClassificationResult(classifications=rows)
            return pb.ClassificationResponse(result=result, model_spec=spec_of(served, signature.name))

        return await self._calls.serve("tfs_classify", context, answer)

    async def GetModelMetadata(  # noqa: N802  # as above
        self, request_bytes: bytes, context: Context
    ) -> pb.GetModelMetadataResponse | None:
        async def answer(observed: ObservedRequest) -> pb.GetModelMetadataResponse:
            request = parse(pb.GetModelMetadataRequest, request_bytes)
            _require_spec(request)
            _check_fields(list(request.metadata_field))
            served = find_model(self._registry, request.model_spec)
            observed.model, observed.version = served.manifest.name, served.manifest.version
            described = pb.SignatureDefMap(signature_def=signature_defs(served.manifest))
            packed = AnyMessage(type_url=_TYPE_URL, value=described.SerializeToString())
            return pb.GetModelMetadataResponse(model_spec=spec_of(served), metadata={SIGNATURE_DEF: packed})

        return await self._calls.serve("tfs_get_model_metadata", context, answer)

    async def Regress(  # noqa: N802  # as above
        self, request_bytes: bytes, context: Context
    ) -> pb.RegressionResponse | None:
        async def answer(observed: ObservedRequest) -> pb.RegressionResponse:
            raise UnimplementedError(NO_REGRESSION)

        return await self._calls.serve("tfs_regress", context, answer)

    async def MultiInference(  # noqa: N802  # as above
        self, request_bytes: bytes, context: Context
    ) -> pb.MultiInferenceResponse | None:
        async def answer(observed: ObservedRequest) -> pb.MultiInferenceResponse:
            raise UnimplementedError(_NO_MULTI_INFERENCE)

        return await self._calls.serve("tfs_multi_inference", context, answer)


def _require_spec(request: pb.PredictRequest | pb.ClassificationRequest | pb.GetModelMetadataRequest) -> None:
    if not request.HasField("model_spec"):
        raise InvalidError("Missing ModelSpec")


def _check_fields(fields: list[str]) -> None:
    if not fields:
        raise InvalidError(
            f"GetModelMetadataRequest must specify at least one metadata_field; expected {SIGNATURE_DEF}"
        )
    for name in fields:
        if name != SIGNATURE_DEF:
            raise InvalidError(f"Metadata field {name[:80]} is not supported; expected {SIGNATURE_DEF}")
