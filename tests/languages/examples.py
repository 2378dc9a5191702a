"""The examples of docs/clients.md, and a server for them to call."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from tests.bundles import write_bundle
from tests.e2e.server import CNNSVC, Server
from tests.encoded import encode
from tests.languages.programs import ROOT

PAGE: Final = ROOT / "docs" / "clients.md"
TYPESCRIPT: Final = ROOT / "tests" / "languages" / "typescript"
SOURCES: Final = ("package.json", "tsconfig.json", "http.ts", "grpc.ts")


def blocks(language: str) -> list[str]:
    """What the page shows in this language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def write_folder(folder: Path) -> None:
    """What the examples name: models, a token, rose.jpg, and hello.jpg, which is no image."""
    write_bundle(folder / "models")
    (folder / "rose.jpg").write_bytes(encode("JPEG"))
    (folder / "hello.jpg").write_text("hello")
    words = [str(CNNSVC), "token", "camera", "--scope", "classify", "--tokens-file", str(folder / "tokens.toml")]
    made = subprocess.run(words, check=True, capture_output=True, text=True, timeout=60)
    (folder / "camera.token").write_text(made.stdout)


def localised(example: str, server: Server) -> str:
    """The example with the addresses of this server in place of the documented ones."""
    http_address = server.http_url.removeprefix("http://")
    return example.replace("127.0.0.1:8500", server.grpc_address).replace("127.0.0.1:8501", http_address)


def write_typescript(folder: Path, server: Server) -> None:
    """The sources of the TypeScript examples, for this server."""
    for name in SOURCES:
        (folder / name).write_text(localised((TYPESCRIPT / name).read_text(), server))
    for file in (TYPESCRIPT / ".npmrc", TYPESCRIPT / "package-lock.json", ROOT / "proto/cnnsvc/pb/classifier.proto"):
        shutil.copy(file, folder)
