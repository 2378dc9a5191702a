"""What every test gets: a switch that turns skipped tests into failures, and the same examples on every CI run."""

import os
import tempfile
from collections.abc import Generator

import hypothesis
import pytest

hypothesis.settings.register_profile("ci", derandomize=True)  # new examples are looked for by hand, not by CI
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")

# Servers that tests start remember engines in a folder of this run, never in the user's own.
os.environ.setdefault("CNNSVC_CACHE_DIR", tempfile.mkdtemp(prefix="cnnsvc-test-cache-"))

REQUIRE_ALL = os.environ.get("CNNSVC_REQUIRE_ALL") == "1"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With CNNSVC_REQUIRE_ALL=1 a test that did not run counts as failed, with the reason of the skip."""
    report = yield
    if REQUIRE_ALL and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, which CNNSVC_REQUIRE_ALL=1 forbids: {report.longrepr}"
    return report
