"""Which operations of the OpenAPI document want a token, read from the rule that the gate goes by."""

from typing import Any, Final

from cnnsvc.errors import Kind
from service.access import Access
from service.frontends.http_gate import scope_of
from service.frontends.status import HTTP_STATUS

Json = dict[str, Any]

_SCHEME: Final = "token"
_KINDS: Final = (Kind.UNAUTHENTICATED, Kind.FORBIDDEN)


def add_security(document: Json, access: Access) -> None:
    """Marks every operation that is not open to all, in place."""
    document["components"]["securitySchemes"] = {
        _SCHEME: {"type": "http", "scheme": "bearer", "description": "As `cnnsvc token` makes it."}
    }
    for path, operations in document["paths"].items():
        needed = scope_of(path)
        if needed is None or access.is_public(needed):
            continue
        for operation in operations.values():
            operation["security"] = [{_SCHEME: []}]
            operation["responses"] |= {
                str(HTTP_STATUS[kind].status): {"$ref": f"#/components/responses/{kind.value}"} for kind in _KINDS
            }
