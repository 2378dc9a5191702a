"""JSON schemas of structs as Markdown: one table of fields for each object."""

import ast
import inspect
import itertools
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from docs.generator.markdown import anchor, code, joined, link, sentence, table, text

Json = dict[str, Any]


def section(name: str, schema: Json, docs: Mapping[str, str], *, level: int) -> str:
    """A heading, the object's description and its fields; `docs` has words for fields that have none."""
    required = schema.get("required", ())
    rows = [
        [
            code(field),
            type_of(part) + ("" if field in required else ", optional"),
            text(part.get("description", "") or docs.get(field, "")),
        ]
        for field, part in schema.get("properties", {}).items()
    ]
    alternatives = " or ".join(map(type_of, schema.get("oneOf", ())))
    return joined(
        f"{'#' * level} {name}",
        text(sentence(schema.get("description", ""))),
        f"Either {alternatives}." if alternatives else "",
        table(("field", "type", "is"), rows),
    )


def field_docs(*modules: ModuleType) -> dict[str, dict[str, str]]:
    """By class and field: the text that stands under the field in the source."""
    nodes = [node for module in modules for node in ast.parse(inspect.getsource(module)).body]
    return {node.name: _docs_of(node) for node in nodes if isinstance(node, ast.ClassDef)}


def type_of(schema: Json) -> str:
    """In words, other objects as links to their heading on the same page."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return link(name, anchor(name))
    if "enum" in schema:
        return " or ".join(map(str, schema["enum"]))
    kind = str(schema.get("type", "anything"))
    if kind == "array":
        return f"list of {type_of(schema['items'])}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {type_of(schema['additionalProperties'])}"
    if schema.get("format") == "byte":
        return "base64"
    if schema.get("format") == "binary":
        return "bytes"
    return kind + _range(schema)


def _range(schema: Json) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None:
        return ""
    return f", {low} or more" if high is None or high >= 2**63 - 1 else f", {low} to {high}"


def _docs_of(struct: ast.ClassDef) -> dict[str, str]:
    docs = {}
    for before, after in itertools.pairwise(struct.body):
        if not isinstance(before, ast.AnnAssign) or not isinstance(before.target, ast.Name):
            continue
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            docs[before.target.id] = str(after.value.value)
    return docs
