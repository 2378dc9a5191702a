"""The comments of a .proto file by the full names of what they stand before; descriptors do not carry them."""

import re
from typing import Final

_NAMED: Final = re.compile(
    r"(?P<keyword>package|service|message|oneof|rpc)\s+(?P<name>[\w.]+)"
    r"|(?:repeated\s+|optional\s+)?[\w.]+\s+(?P<field>\w+)\s*=\s*\d+\s*;"
)


def comments_of(source: str) -> dict[str, str]:
    """Such as {"cnnsvc.v1.Result.classes": "Best class first."}; needs one declaration a line, as ours are written."""
    found: dict[str, str] = {}
    package = ""
    scopes: list[str] = []
    pending: list[str] = []
    for line in map(str.strip, source.splitlines()):
        if line.startswith("//"):
            pending.append(line.removeprefix("//").strip())
            continue
        if match := _NAMED.match(line):
            name = match["name"] or match["field"]
            if match["keyword"] == "package":
                package = name
            full_name = ".".join(part for part in (package, *scopes, name) if part)
            full_name = package if match["keyword"] == "package" else full_name
            if pending:
                found[full_name] = " ".join(pending)
            if line.endswith("{"):
                # A field's full name leaves out the oneof that it stands in.
                scopes.append("" if match["keyword"] == "oneof" else name)
        elif line == "}":
            scopes.pop()
        pending = []
    return found
