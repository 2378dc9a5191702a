"""POST /api/v1/explain: one image in, out comes what of it a class's score hangs on."""

from typing import Final

import msgspec

from cnnsvc.errors import InvalidError
from cnnsvc.occlusion import DEFAULT_BUDGET, LEAST_BUDGET
from service.explain import Explainer
from service.frontends.http_body import BodyForm, Headers, body_form
from service.frontends.http_call import CallLimits, Endpoint, HttpCall, Reply
from service.frontends.http_messages import ExplainRequest, explain_response
from service.frontends.http_multipart import read_multipart
from service.frontends.http_parameters import (
    EXPLAIN_PARAMETERS,
    add_parameter,
    build_query,
    read_integer,
    read_query_string,
)
from service.metrics import Metrics
from service.predictor import Predictor
from service.registry import Registry

_DECODER: Final = msgspec.json.Decoder(ExplainRequest)
_ENCODER: Final = msgspec.json.Encoder()


def explain_endpoint(predictor: Predictor, registry: Registry, metrics: Metrics, limits: CallLimits) -> Endpoint:
    explainer = Explainer(predictor, registry)

    async def answer(call: HttpCall) -> Reply:
        parameters = read_query_string(call.scope["query_string"], EXPLAIN_PARAMETERS)
        form = body_form(call.headers)
        image = _read_image(form, call.headers, await call.read_body(), parameters)
        query = build_query([image], parameters, call.deadline, call.observed.record)
        budget = read_budget(parameters.get("budget"), limits.explain_budget_limit)
        found = await call.unless_gone(explainer.explain(query, parameters.get("class_name", ""), budget))
        call.observed.model, call.observed.version = found.explanation.model, found.explanation.version
        return Reply(_ENCODER.encode(explain_response(found)))

    return Endpoint("explain", answer, metrics, predictor.admission, limits)


def read_budget(text: str | None, limit: int) -> int:
    """Raises InvalidError for one that is no number in its range."""
    return min(DEFAULT_BUDGET, limit) if text is None else read_integer("budget", text, LEAST_BUDGET, limit)


def _read_image(form: BodyForm, headers: Headers, body: bytes, parameters: dict[str, str]) -> bytes:
    """Raises InvalidError for a body that is empty or malformed, TooLargeError for a form with several images."""
    if not body:
        raise InvalidError("the body is empty; expected an image, a multipart form or a JSON object")
    if form is BodyForm.RAW:
        return body
    if form is BodyForm.MULTIPART:
        return read_multipart(headers[b"content-type"], body, parameters, 1, EXPLAIN_PARAMETERS)[0]
    try:
        request = _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidError(f"the JSON body is not a request for an explanation: {error}") from None
    for name in EXPLAIN_PARAMETERS:
        if (value := getattr(request, name)) is not msgspec.UNSET:
            add_parameter(parameters, name, str(value))
    return request.image
