"""TensorFlow Serving's REST API below /v1/models/: paths are matched whatever the case, as there."""

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from starlette.routing import Route

from cnnsvc.errors import UnimplementedError, UnsupportedError
from cnnsvc.pb import tfs_pb2 as pb
from service.frontends.http_call import CallLimits, Endpoint, HttpCall, Reply
from service.frontends.http_messages import MAX_VERSION
from service.frontends.http_parameters import read_integer, shown
from service.frontends.tfs_answers import query_of, rows_of
from service.frontends.tfs_grpc import NO_REGRESSION
from service.frontends.tfs_json import (
    example_images,
    images_of,
    outputs_json,
    read_classify,
    read_predict,
)
from service.frontends.tfs_models import CODE_NAMES, StatesOf, find_model, still_served, version_statuses
from service.frontends.tfs_signatures import find_classify_signature, find_signature, signature_json
from service.frontends.tfs_tensors import check_number
from service.metrics import Metrics
from service.predictor import Answer, Predictor, Query
from service.registry import Registry

_MODEL: Final = "/v1/models/{name}"
_VERSIONS: Final = ("", "/versions/{version}", "/labels/{label}")
_ENCODER: Final = msgspec.json.Encoder()

Act = Callable[[HttpCall], Awaitable[Reply]]


class TfsRest:
    def __init__(
        self,
        predictor: Predictor,
        registry: Registry,
        metrics: Metrics,
        limits: CallLimits,
        states_of: StatesOf | None,
    ) -> None:
        self._predictor = predictor
        self._registry = registry
        self._metrics = metrics
        self._limits = limits
        self._states_of = states_of

    def routes(self) -> list[Route]:
        post, get = ["POST"], ["GET"]
        acts: list[tuple[str, str, Act, list[str]]] = [
            (":predict", "tfs_predict", self._predict, post),
            (":classify", "tfs_classify", self._classify, post),
            (":regress", "tfs_regress", self._regress, post),
            ("/metadata", "tfs_get_model_metadata", self._metadata, get),
            ("", "tfs_get_model_status", self._status, get),
        ]
        return [
            _AnyCaseRoute(f"{_MODEL}{version}{suffix}", self._endpoint(method, act), methods=methods)
            for suffix, method, act, methods in acts
            for version in _VERSIONS
        ]

    def _endpoint(self, method: str, act: Act) -> Endpoint:
        return Endpoint(method, act, self._metrics, self._predictor.admission, self._limits)

    async def _predict(self, call: HttpCall) -> Reply:
        body, spec = await _read(call), _spec(call)
        served = find_model(self._registry, spec)
        shape, most = served.manifest.image, self._limits.max_images_per_call
        request = read_predict(body, shape, most)
        signature, is_row = find_signature(request.signature_name), request.is_row
        admission = self._predictor.admission
        admission.add(0, len(body))  # held again while its numbers are read
        try:
            images = await images_of(signature, request, shape, most)
        finally:
            admission.release(0, len(body))
        del body, request  # what was made of them are copies
        served = still_served(self._registry, spec, served)
        query = query_of(signature, served.manifest, images, call.deadline, call.observed.record)
        found = await self._answer(call, query)
        outputs: dict[str, Any] = {name: rows_of(name, found) for name in signature.outputs}
        return Reply(outputs_json(outputs, is_row=is_row))

    async def _classify(self, call: HttpCall) -> Reply:
        body = await _read(call)
        served = find_model(self._registry, _spec(call))
        request = read_classify(body, self._limits.max_images_per_call)
        del body
        signature = find_classify_signature(request.signature_name)
        check_number(len(request.examples), self._limits.max_images_per_call)
        images = example_images(request)
        found = await self._answer(
            call, query_of(signature, served.manifest, images, call.deadline, call.observed.record)
        )
        return Reply(_ENCODER.encode({"results": found.results}))

    async def _regress(self, call: HttpCall) -> Reply:
        raise UnimplementedError(NO_REGRESSION)

    async def _metadata(self, call: HttpCall) -> Reply:
        served = find_model(self._registry, _spec(call))
        manifest = served.manifest
        call.observed.model, call.observed.version = manifest.name, manifest.version
        spec = {"name": manifest.name, "signature_name": "", "version": str(manifest.version)}
        described = {"signature_def": {"signature_def": signature_json(manifest)}}
        return Reply(_ENCODER.encode({"model_spec": spec, "metadata": described}))

    async def _status(self, call: HttpCall) -> Reply:
        found = version_statuses(self._registry, self._states_of, _spec(call))
        statuses = [
            {
                "version": str(one.version),
                "state": pb.ModelVersionStatus.State.Name(one.state),
                "status": {
                    "error_code": CODE_NAMES[one.status.error_code],
                    "error_message": one.status.error_message,
                },
            }
            for one in found.model_version_status
        ]
        return Reply(_ENCODER.encode({"model_version_status": statuses}))

    async def _answer(self, call: HttpCall, query: Query) -> Answer:
        found = await call.unless_gone(self._predictor.classify(query))
        call.observed.model, call.observed.version = found.model, found.version
        return found


class _AnyCaseRoute(Route):
    def __init__(self, path: str, endpoint: Endpoint, *, methods: list[str]) -> None:
        super().__init__(path, endpoint, methods=methods, include_in_schema=False)
        # A colon begins what is to be done with the model.
        self.path_regex = re.compile(self.path_regex.pattern.replace("[^/]", "[^/:]"), re.IGNORECASE)


async def _read(call: HttpCall) -> bytes:
    """Whatever its content type says, it is JSON, as in TensorFlow Serving. Raises UnsupportedError for a coding."""
    coding = call.headers.get(b"content-encoding", b"identity").decode("latin-1").strip().lower()
    if coding != "identity":
        raise UnsupportedError(f"content encoding {shown(coding)} is not offered; allowed is identity (no encoding)")
    return await call.read_body()


def _spec(call: HttpCall) -> "pb.ModelSpec":
    """Of the path. Raises InvalidError for a version that is no number."""
    parameters = call.scope["path_params"]
    spec = pb.ModelSpec(name=parameters["name"])
    if "version" in parameters:
        spec.version.value = read_integer("version", parameters["version"], 0, MAX_VERSION)
    elif "label" in parameters:
        spec.version_label = parameters["label"]
    return spec
