"""The page of error kinds: what each means and what it is over gRPC and HTTP."""

import re
from typing import Final

from cnnsvc import errors
from cnnsvc.errors import Kind
from docs.generator.markdown import code, joined, table, text
from service.frontends.status import GRPC_STATUS, HTTP_STATUS

_BRANCH: Final = re.compile(r"^[├└]── (\w+) +(\w+) +(.+)$", re.MULTILINE)


def page() -> str:
    return joined(
        "# Errors",
        "Every error has a kind, one word that is the same in an HTTP body, in a gRPC status, in the metrics and in"
        " the log, and a sentence that says what came and what is allowed.",
        table(("kind", "means", "gRPC", "HTTP", "Retry-After"), map(_row, Kind)),
        "Over HTTP an error is an RFC 9457 document, `application/problem+json`, with `kind`, `detail` and"
        " `request_id`. Over gRPC the sentence is the status message and the kind the trailing metadata"
        " `cnnsvc-error-kind`; in a stream both stand in the answer of the image. When to come again"
        " after an overloaded call is there too: `google.rpc.RetryInfo` in the `google.rpc.Status` of"
        " `grpc-status-details-bin`.",
        "An internal error carries no words of its own, only the request id: the log has the rest.",
    )


def meanings() -> dict[str, str]:
    """By kind, from the tree at the head of cnnsvc/errors.py."""
    return {kind: words for _, kind, words in _BRANCH.findall(errors.__doc__ or "")}


def _row(kind: Kind) -> list[str]:
    status = HTTP_STATUS[kind]
    retry = "" if status.retry_after_s is None else f"{status.retry_after_s} s"
    if kind is Kind.OVERLOADED:
        retry += " or more, as long as what waits will take"
    return [
        code(kind.value),
        text(meanings()[kind]),
        code(GRPC_STATUS[kind].name),
        f"{status.status} {status.title}",
        retry,
    ]
