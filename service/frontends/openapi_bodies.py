"""What requests carry, in the words of the OpenAPI document: an image as it is, a form or JSON."""

from typing import Any, Final

from cnnsvc.occlusion import LEAST_BUDGET
from service.frontends.http_messages import MAX_VERSION

Json = dict[str, Any]

BUDGET: Final = {"type": "integer", "minimum": LEAST_BUDGET}
_BINARY: Final = {"type": "string", "format": "binary"}


def request_body(form: Json, schema: str) -> Json:
    """`schema` is the name of the JSON object."""
    return {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": _BINARY},
            "multipart/form-data": {"schema": form},
            "application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}},
        },
    }


def classify_form() -> Json:
    return {
        "type": "object",
        "required": ["images"],
        "description": "Every file is an image, whatever its field is called.",
        "properties": {
            "images": {"type": "array", "items": _BINARY, "minItems": 1},
            **_form_parameters(),
            "top_k": {"type": "integer", "minimum": 1},
        },
    }


def explain_form() -> Json:
    return {
        "type": "object",
        "required": ["image"],
        "description": "The file is the image, whatever its field is called.",
        "properties": {"image": _BINARY, **_form_parameters(), "class_name": {"type": "string"}, "budget": BUDGET},
    }


def _form_parameters() -> Json:
    return {
        "model": {"type": "string"},
        "version": {"type": "integer", "minimum": 0, "maximum": MAX_VERSION},
        "label": {"type": "string"},
    }
