"""A real Prometheus with the rules tells of real faults of a real server, and of their end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bundles import write_bundle
from tests.deploy.prometheus import Prometheus, prometheus
from tests.e2e.server import Server, serving

pytestmark = pytest.mark.slow


@pytest.fixture
def scraped(tmp_path: Path) -> Iterator[tuple[Server, Prometheus]]:
    """A server with one version of flowers, of which nothing is told."""
    write_bundle(tmp_path / "models")
    with serving("--models-dir", tmp_path / "models") as server, prometheus(tmp_path, server.http_url) as scraping:
        scraping.wait_for_scrapes(3)
        _wait_for(scraping)
        yield server, scraping


def test_a_version_that_is_damaged_is_told_until_it_is_mended(
    tmp_path: Path, scraped: tuple[Server, Prometheus]
) -> None:
    """A version with a damaged file makes CnnsvcVersionRefused fire, with its name; the right file ends that."""
    server, scraping = scraped
    write_bundle(tmp_path / "copied")
    copied = write_bundle(tmp_path / "copied")
    network = (copied / "model.onnx").read_bytes()
    (copied / "model.onnx").write_bytes(network[:-1])
    version = copied.rename(tmp_path / "models" / "flowers" / "2")
    _wait_for(scraping, "CnnsvcVersionRefused")
    labels = scraping.firing()["CnnsvcVersionRefused"]
    assert {name: labels[name] for name in ("model", "version", "fault")} == {
        "model": "flowers",
        "version": "2",
        "fault": "hash",
    }
    assert labels["instance"] == server.http_url.removeprefix("http://")
    (version / "model.onnx").write_bytes(network)
    _wait_for(scraping)


def test_a_server_that_is_killed_is_told_until_it_is_back(tmp_path: Path, scraped: tuple[Server, Prometheus]) -> None:
    """CnnsvcDown and, since it was the only one, CnnsvcNoneReady fire; a server in its place ends that."""
    server, scraping = scraped
    server.process.kill()
    _wait_for(scraping, "CnnsvcDown", "CnnsvcNoneReady")
    port = server.http_url.rpartition(":")[2]
    with serving("--models-dir", tmp_path / "models", "--http-port", port):
        _wait_for(scraping)


def _wait_for(scraping: Prometheus, *names: str) -> None:
    """Until exactly these alerts fire."""
    scraping.wait_until(lambda: set(scraping.firing()) == set(names), f"firing: {names}")
