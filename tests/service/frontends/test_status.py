from http import HTTPStatus

import grpc
import pytest

from cnnsvc.errors import Kind
from service.frontends.status import GRPC_STATUS, HTTP_STATUS, grpc_status, http_status


def test_every_kind_is_in_both_tables() -> None:
    """A kind that is new in cnnsvc.errors cannot be forgotten in either protocol."""
    assert set(GRPC_STATUS) == set(Kind)
    assert set(HTTP_STATUS) == set(Kind)


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_is_a_failure_in_both_protocols(kind: Kind) -> None:
    """No error reaches a client as a success."""
    assert grpc_status(kind) is not grpc.StatusCode.OK
    assert 400 <= http_status(kind).status < 600


def test_only_what_may_pass_is_retryable() -> None:
    """Clients retry UNAVAILABLE and RESOURCE_EXHAUSTED: only kinds that time can cure have them, with a Retry-After."""
    retried = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}
    passing = {Kind.OVERLOADED, Kind.NOT_READY}
    assert {kind for kind in Kind if grpc_status(kind) in retried} == passing
    assert {kind for kind in Kind if http_status(kind).retry_after_s is not None} == passing


def test_titles_are_the_registered_phrases() -> None:
    """Problem documents of type about:blank carry the status' own phrase."""
    registered = {status.value: status.phrase for status in HTTPStatus} | {413: "Content Too Large"}
    for kind in set(Kind) - {Kind.CANCELLED}:
        assert http_status(kind).title == registered[http_status(kind).status]
