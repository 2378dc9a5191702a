"""Every route of the HTTP API answers as its OpenAPI document says, whatever is sent."""

import pytest

from bench.faults.api import run

pytestmark = pytest.mark.slow


def test_a_few_requests_of_every_kind() -> None:
    """No answer is an error of the server or another than the document describes, without the admin API and with it."""
    rows = run(num_examples=8, seed=1)
    assert [(row.name, row.problems) for row in rows if row.problems] == []
    assert [row.report.operations.tested for row in rows] == [9, 17]
    assert all(row.answers["ok"] > 50 for row in rows)
