"""Callers in TypeScript, as docs/clients.md shows them: typed, and answered as our own client is."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.certificates import Authority
from tests.e2e.server import Server, serving
from tests.languages.examples import PAGE, SOURCES, TYPESCRIPT, blocks, localised, write_typescript
from tests.languages.programs import printed, run


def test_the_page_shows_the_files() -> None:
    """Its sources are those that are run here, to the letter."""
    assert [*blocks("json"), *blocks("ts")] == [(TYPESCRIPT / name).read_text() for name in SOURCES]


def test_the_lock_names_no_registry() -> None:
    """npm asks the registry that it is set up for, and each package must have the hash that the lock has of it."""
    lock = (TYPESCRIPT / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert lock.count('"integrity"') == lock.count('"node_modules/') > 0


@pytest.fixture(scope="module")
def commands(folder: Path, server: Server) -> str:
    """What the commands of the page print, run in the folder with all that they need."""
    write_typescript(folder, server)
    (script,) = (block for block in blocks("sh") if block.startswith("npm "))
    return printed("bash", "-euo", "pipefail", "-c", script, cwd=folder)


@pytest.mark.slow
def test_the_answers_are_those_of_the_own_client(folder: Path, server: Server, commands: str) -> None:
    """The packages install, the types are made, the compiler is content, both doors give the Python client's scores."""
    (example,) = blocks("python")
    words = [sys.executable, "-W", "error", "-c", localised(example, server)]
    finished = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=60)
    assert (finished.returncode, finished.stderr) == (0, "")
    own = finished.stdout.splitlines()
    assert len(own) == 2
    *_, http_first, http_second, grpc_first, grpc_second = commands.splitlines()
    _same_scores([http_first, http_second], own)
    _same_scores([grpc_first, grpc_second], own)


def _same_scores(found: list[str], own: list[str]) -> None:
    pairs = [[line.split() for line in lines] for lines in (found, own)]
    assert [name for name, _ in pairs[0]] == [name for name, _ in pairs[1]]
    scores = [[float(score) for _, score in lines] for lines in pairs]
    assert scores[0] == pytest.approx(scores[1], rel=1e-6)


def _variant(folder: Path, name: str, source: str, *changes: tuple[str, str]) -> str:
    """The name of a file in the folder: a source with these words in place of those."""
    text = (folder / source).read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / name).write_text(text)
    return name


@pytest.mark.slow
def test_json_has_types_too(folder: Path, commands: str) -> None:
    """The body of JSON that the page tells of compiles and is answered like the bytes."""
    body = re.search(r"`(body: \{.*\})`", PAGE.read_text())
    assert body
    lines = [line for line in (folder / "http.ts").read_text().splitlines(keepends=True) if "body" in line]
    content_type = '  headers: { "Content-Type": "application/octet-stream" },\n'
    changes = [(content_type, ""), (lines[0], f"  {body[1]},\n"), (lines[1], "")]
    variant = _variant(folder, "json.ts", "http.ts", *changes)
    printed("npm", "run", "check", cwd=folder)
    assert printed("node", variant, cwd=folder).splitlines() == commands.splitlines()[-4:-2]


@pytest.mark.slow
def test_both_can_speak_tls(folder: Path, server: Server, commands: str) -> None:
    """With the credentials, the URL and the variable that the page names they trust the server's certificate."""
    authority = Authority(folder, "company")
    own = authority.issue()
    (folder / "cert.pem").write_bytes(authority.file.read_bytes())
    credentials = re.search(r"`(credentials\.createSsl\(.*?\))`", PAGE.read_text())
    assert credentials
    tls = ["--tls-certificate", own.certificate, "--tls-key", own.key]
    with serving("--models-dir", folder / "models", "--engine", "openvino", *tls) as other:
        _variant(folder, "tls_http.ts", "http.ts", (server.http_url, other.http_url))
        insecure = ("credentials.createInsecure()", credentials[1])
        _variant(folder, "tls_grpc.ts", "grpc.ts", (server.grpc_address, other.grpc_address), insecure)
        printed("npm", "run", "check", cwd=folder)
        over_http = printed("NODE_EXTRA_CA_CERTS=cert.pem", "node", "tls_http.ts", cwd=folder)
        over_grpc = printed("node", "tls_grpc.ts", cwd=folder)
        refused = run("node", "tls_http.ts", cwd=folder)
    _same_scores(over_http.splitlines(), commands.splitlines()[-4:-2])
    _same_scores(over_grpc.splitlines(), commands.splitlines()[-4:-2])
    assert "certificate" in refused.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("commands")
@pytest.mark.parametrize("source", ["http.ts", "grpc.ts"])
def test_an_error_has_its_kind(folder: Path, source: str) -> None:
    """Of a file that is no image both say so, in the words of the server."""
    finished = run("node", source, "hello.jpg", cwd=folder)
    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr.startswith("invalid: not an image: 5 bytes")


@pytest.mark.slow
@pytest.mark.usefixtures("commands")
@pytest.mark.parametrize("source", ["http.ts", "grpc.ts"])
def test_the_token_is_asked_for(folder: Path, source: str) -> None:
    """With another token the kind of the error is unauthenticated."""
    other = folder / "other"
    other.mkdir(exist_ok=True)
    (other / "camera.token").write_text("another")
    for name in ("rose.jpg", "classifier.proto"):
        (other / name).write_bytes((folder / name).read_bytes())
    finished = run("node", folder / source, cwd=other)
    assert finished.returncode == 1
    assert finished.stderr.startswith("unauthenticated: ")


@pytest.mark.slow
@pytest.mark.usefixtures("commands")
def test_without_a_server_the_status_of_grpc_is_the_kind(folder: Path, server: Server) -> None:
    """The gRPC example, which has no kind from a server, says UNAVAILABLE within its deadline."""
    unanswered = _variant(folder, "unanswered.ts", "grpc.ts", (server.grpc_address, "127.0.0.1:1"))
    finished = run("node", unanswered, cwd=folder)
    assert finished.returncode == 1
    assert finished.stderr.startswith("UNAVAILABLE: ")


_MISSPELT: Final = {
    "parameter.ts": ("http.ts", "query: { top_k: 2 }", "query: { topk: 2 }"),
    "problem.ts": ("http.ts", "error.detail", "error.message"),
    "path.ts": ("http.ts", "/api/v1/classify", "/api/v1/clasify"),
    "request.ts": ("grpc.ts", "top_k: 2", "topK: 2"),
    "answer.ts": ("grpc.ts", "results[0].classes", "results[0].labels"),
}


@pytest.mark.slow
@pytest.mark.usefixtures("commands")
def test_the_types_know_the_interface(folder: Path) -> None:
    """The compiler refuses each parameter, field and path that the server has not."""
    for name, (source, right, wrong) in _MISSPELT.items():
        _variant(folder, name, source, (right, wrong))
    checked = run("npm", "run", "check", cwd=folder)
    for name in _MISSPELT:
        (folder / name).unlink()
    assert checked.returncode != 0
    assert {line.split("(")[0] for line in checked.stdout.splitlines() if "error TS" in line} == set(_MISSPELT)
