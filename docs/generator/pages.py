"""Every page of docs/reference/ by its file name."""

from pathlib import Path
from typing import Final

from docs.generator import commands, errors, grpc, http, manifest, metrics

REFERENCE: Final = Path(__file__).parents[1] / "reference"

_NOTE: Final = "<!-- Written by `make docs` from the sources: change those, not this page. -->\n\n"


def reference_pages() -> dict[str, str]:
    """Markdown by file name, as it must be committed."""
    pages = {
        "commands.md": commands.page(),
        "metrics.md": metrics.page(),
        "http.md": http.page(),
        "grpc.md": grpc.page(),
        "errors.md": errors.page(),
        "manifest.md": manifest.page(),
    }
    return {name: _NOTE + text.rstrip("\n") + "\n" for name, text in pages.items()}
