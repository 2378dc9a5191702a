"""The admin API's part of the OpenAPI document, there only where that API is enabled."""

from typing import Any, Final

from cnnsvc.errors import Kind
from service.admin import LABEL_PATTERN, ModelStatus, ModelStatusList
from service.frontends.http_admin import ADMIN_PATH, LabelTarget, RollbackTarget, SplitWeights
from service.frontends.status import HTTP_STATUS

Json = dict[str, Any]

ADMIN_STRUCTS: Final = (ModelStatus, ModelStatusList, LabelTarget, SplitWeights, RollbackTarget)
_ALWAYS: Final = (Kind.INVALID, Kind.INTERNAL)
_MODEL: Final = (*_ALWAYS, Kind.NOT_FOUND)
_CHANGE: Final = (*_MODEL, Kind.CONFLICT)
_WITH_BODY: Final = (Kind.TOO_LARGE, Kind.LATE)


def admin_parameters() -> Json:
    label = {"name": "label", "in": "path", "required": True, "description": "Any name but a number."}
    return {"path_label": {**label, "schema": {"type": "string", "pattern": LABEL_PATTERN}}}


def admin_paths() -> Json:
    model, version, label = "/{name}", "/{name}/versions/{version}", "/{name}/labels/{label}"
    versions, labels = ("path_name", "path_version"), ("path_name", "path_label")
    return {
        ADMIN_PATH: {
            "get": _operation("adminListModels", "Every model, with all versions and why", (), _ALWAYS, "List")
        },
        ADMIN_PATH + model: {"get": _operation("adminGetModel", "One model", ("path_name",), _MODEL)},
        f"{ADMIN_PATH}{version}/load": {
            "post": _operation(
                "loadVersion", "Serve a version whatever the policy says, proven first", versions, _CHANGE
            )
        },
        f"{ADMIN_PATH}{version}/unload": {
            "post": _operation("unloadVersion", "Take a version out of service", versions, _CHANGE)
        },
        ADMIN_PATH + label: {
            "put": _operation("setLabel", "Point a label to a loaded version", labels, _CHANGE, body="LabelTarget"),
            "delete": _operation("deleteLabel", "Delete a label", labels, _CHANGE),
        },
        f"{ADMIN_PATH}{model}/split": {
            "put": _operation(
                "setSplit", "Deal calls over labels by weight", ("path_name",), _MODEL, body="SplitWeights"
            )
        },
        f"{ADMIN_PATH}{model}/rollback": {
            "post": _operation("rollBack", "Go back to a version", ("path_name",), _CHANGE, body="RollbackTarget")
        },
    }


def _operation(
    operation_id: str,
    summary: str,
    parameters: tuple[str, ...],
    kinds: tuple[Kind, ...],
    answer: str = "",
    *,
    body: str = "",
) -> Json:
    names = (*parameters, "request_id")
    ok = {"$ref": f"#/components/schemas/ModelStatus{answer}"}
    problems = {
        str(HTTP_STATUS[kind].status): {"$ref": f"#/components/responses/{kind.value}"}
        for kind in (*kinds, *(_WITH_BODY if body else ()))
    }
    operation = {
        "operationId": operation_id,
        "tags": ["administration"],
        "summary": summary,
        "parameters": [{"$ref": f"#/components/parameters/{name}"} for name in names],
        "responses": {
            "200": {
                "description": summary + ": how it is now.",
                "headers": {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}},
                "content": {"application/json": {"schema": ok}},
            },
            **problems,
        },
    }
    if body:
        schema = {"schema": {"$ref": f"#/components/schemas/{body}"}}
        operation["requestBody"] = {"required": body != "RollbackTarget", "content": {"application/json": schema}}
    return operation
