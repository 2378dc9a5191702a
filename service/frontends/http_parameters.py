"""Parameters in text: the query string, fields of a form, and the timeout header, read strictly."""

from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import parse_qsl

from cnnsvc.errors import InvalidError
from service.call_record import CallRecord
from service.frontends.http_messages import MAX_VERSION
from service.predictor import Query

CLASSIFY_PARAMETERS: Final = ("model", "version", "label", "top_k")
EXPLAIN_PARAMETERS: Final = ("model", "version", "label", "class_name", "budget")
TIMEOUT_HEADER: Final = "X-Request-Timeout-Ms"

_MAX_FIELDS: Final = 16
_MAX_SHOWN: Final = 80


def read_query_string(query_string: bytes, allowed: Collection[str]) -> dict[str, str]:
    """Parameters by name. Raises InvalidError for one that is unknown (a typo changes the answer) or comes twice."""
    if not query_string:
        return {}
    try:
        pairs = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise InvalidError(f"the query string has more than {_MAX_FIELDS} parameters") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in allowed:
            expected = f"allowed are {', '.join(allowed)}" if allowed else "this resource takes none"
            raise InvalidError(f"query parameter {shown(name)} is unknown; {expected}")
        add_parameter(found, name, value)
    return found


def add_parameter(found: dict[str, str], name: str, value: str) -> None:
    """Raises InvalidError where the parameter was given before, in the query string or the body."""
    if name in found:
        raise InvalidError(f"{name} was given twice: {shown(found[name])} and {shown(value)}")
    found[name] = value


def build_query(
    images: list[bytes], parameters: Mapping[str, str], deadline: float, record: CallRecord | None = None
) -> Query:
    """Raises InvalidError for a version or a top_k that is not a number in its range."""
    version, top_k = parameters.get("version"), parameters.get("top_k")
    return Query(
        images,
        parameters.get("model", ""),
        0 if version is None else read_integer("version", version, 0, MAX_VERSION),
        # The model's own number of classes is the limit that a caller wants to read about: the predictor knows it.
        None if top_k is None else read_integer("top_k", top_k, -MAX_VERSION, MAX_VERSION),
        deadline,
        parameters.get("label", ""),
        record,
    )


def read_integer(name: str, text: str, least: int, most: int) -> int:
    """Digits only, after a minus at most: int() would also take 1_0, +1, blanks and the digits of every script."""
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) <= 19 and least <= (number := int(text)) <= most:
        return number
    raise InvalidError(f"{name} is {shown(text)}; expected a whole number from {least} to {most}")


def read_timeout_ms(header: bytes | None, limit_ms: int) -> int:
    """The caller's time limit, at most ours. Raises InvalidError unless it is a positive whole number."""
    if header is None:
        return limit_ms
    return min(limit_ms, read_integer(TIMEOUT_HEADER, header.decode("latin-1"), 1, MAX_VERSION))


def shown(text: str) -> str:
    """Text from outside as an error may repeat it: quoted, escaped, short."""
    return repr(text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…")
