"""A server's life from start to SIGTERM, as a program that a test watches: `python -m tests.e2e.server_life FOLDER`."""

import signal
import sys
import time
from pathlib import Path
from typing import Final

import httpx

from cnnsvc.client import Client
from tests.bundles import write_bundle
from tests.e2e.server import serving
from tests.encoded import encode

_PAGES: Final = ("/metrics", "/readyz", "/api/v1/models", "/openapi.json", "/docs", "/docs/docs.js")
_PATIENCE_SECONDS: Final = 60


def main(models_dir: Path) -> None:
    """Loads a bundle, answers over both doors, changes to a newer version, shows every page, ends in order."""
    write_bundle(models_dir)
    with (
        serving("--models-dir", models_dir) as server,
        Client(server.grpc_address) as client,
        httpx.Client(base_url=server.http_url) as http,
    ):
        for version in (1, 2):
            _wait_for(version, client)
            http.post("/api/v1/classify", content=encode("PNG")).raise_for_status()
            if version == 1:
                write_bundle(models_dir, seed=1)
        for page in _PAGES:
            http.get(page).raise_for_status()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(_PATIENCE_SECONDS) == 0


def _wait_for(version: int, client: Client) -> None:
    """Until that version answers over gRPC."""
    give_up = time.monotonic() + _PATIENCE_SECONDS
    while client.classify(encode("JPEG")).version != version:
        assert time.monotonic() < give_up, f"version {version} does not answer"
        time.sleep(0.1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
