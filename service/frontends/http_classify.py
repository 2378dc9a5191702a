"""POST /api/v1/classify: raw image bytes, a form or JSON in, named classes out."""

from typing import Final

import msgspec

from service.frontends.http_body import BodyForm, body_form, read_images
from service.frontends.http_call import CallLimits, Endpoint, HttpCall, Reply
from service.frontends.http_messages import classify_response
from service.frontends.http_parameters import CLASSIFY_PARAMETERS, build_query, read_query_string
from service.metrics import Metrics
from service.predictor import Predictor

_ENCODER: Final = msgspec.json.Encoder()


def classify_endpoint(predictor: Predictor, metrics: Metrics, limits: CallLimits) -> Endpoint:
    """All that the headers can get refused is refused before the body is read."""

    async def answer(call: HttpCall) -> Reply:
        parameters = read_query_string(call.scope["query_string"], CLASSIFY_PARAMETERS)
        form = body_form(call.headers)

        def require_room(num_bytes: int) -> None:  # only of a raw body the model is known before it is read
            predictor.require_room(build_query([], parameters, call.deadline), num_bytes)

        body = await call.read_body(require_room if form is BodyForm.RAW else None)
        images = read_images(form, call.headers, body, parameters, limits.max_images_per_call)
        del body  # a form's images are copies, and would be held beside it
        query = build_query(images, parameters, call.deadline, call.observed.record)
        found = await call.unless_gone(predictor.classify(query))
        call.observed.model, call.observed.version = found.model, found.version
        return Reply(_ENCODER.encode(classify_response(found)))

    return Endpoint("classify", answer, metrics, predictor.admission, limits)
