"""The schemas of the OpenAPI document, in words that generators of clients understand."""

from typing import Any

import msgspec

Json = dict[str, Any]


def schemas_of(structs: tuple[type[msgspec.Struct], ...]) -> Json:
    """The schemas of these structs and of those that they hold, by name."""
    _, components = msgspec.json.schema_components(structs, ref_template="#/components/schemas/{name}")
    return {name: _to_openapi_3_0(schema) for name, schema in components.items()}


def with_alternatives(schemas: Json, name: str, alternatives: dict[str, str]) -> Json:
    """The schemas, with one for each field of which a message has exactly one, which its struct cannot say.

    `alternatives` has the field by the name of the schema. Each is a whole object: where one object lists what it
    requires in several ways, generators lose it.
    """
    found = {}
    for key, schema in schemas.items():
        if key != name:
            found[key] = schema
            continue
        references = [{"$ref": f"#/components/schemas/{alternative}"} for alternative in alternatives]
        found[name] = {"title": name, "description": schema["description"], "oneOf": references}
        for alternative, field in alternatives.items():
            others = set(alternatives.values()) - {field}
            properties = {key: value for key, value in schema["properties"].items() if key not in others}
            found[alternative] = schema | {"title": alternative, "properties": properties, "required": [field]}
            found[alternative]["description"] = f"A {name} with `{field}`."
    return found


def _to_openapi_3_0(schema: Any) -> Any:
    """JSON Schema 2020-12, as msgspec writes it, in the words of OpenAPI 3.0.

    Base64 and empty lists differ, and the values of an enumeration have a type beside them.
    """
    if isinstance(schema, list):
        return [_to_openapi_3_0(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _to_openapi_3_0(value) for key, value in schema.items() if (key, value) != ("required", [])}
    if found.pop("contentEncoding", None) == "base64":
        found["format"] = "byte"
    if isinstance(found.get("enum"), list):
        found.setdefault("type", "string")
    return found
