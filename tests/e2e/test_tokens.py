"""Tokens as their makers and bearers use them: `cnnsvc token`, a server, and callers of both doors."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from cnnsvc.client import Client
from cnnsvc.errors import CnnsvcError, Kind
from cnnsvc.pb import classifier_pb2 as pb
from cnnsvc.pb import classifier_pb2_grpc as pb_grpc
from service.access import read_tokens
from tests.bundles import write_bundle
from tests.e2e.server import CNNSVC, Server, serving
from tests.encoded import encode

pytestmark = pytest.mark.slow

IMAGE = encode("PNG")


def _token(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [CNNSVC, "token", *words, "--tokens-file", folder / "tokens.toml"]
    wide = os.environ | {"COLUMNS": "200"}
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, env=wide)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a model, and a token of camera that opens classification, in a file of its own."""
    write_bundle(tmp_path / "models")
    made = _token(tmp_path, "camera", "--scope", "classify")
    assert made.returncode == 0, made.stderr
    (tmp_path / "camera.token").write_text(made.stdout)
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    options = ["--tokens-file", folder / "tokens.toml", "--engine", "openvino", "--connection-limit", 8]
    with serving("--models-dir", folder / "models", *options) as server:
        yield server


def _kind(server: Server, token: str) -> Kind | None:
    """What comes of a call over both doors: None is an answer."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    over_http = httpx.post(f"{server.http_url}/api/v1/classify", content=IMAGE, headers=headers)
    kind = None if over_http.status_code == 200 else Kind(over_http.json()["kind"])
    over_grpc = None
    with Client(server.grpc_address, token=token) as client:
        try:
            client.classify(IMAGE)
            assert [outcome for _, outcome in client.classify_stream([("a", IMAGE)])]
        except CnnsvcError as error:
            over_grpc = error.kind
    assert kind == over_grpc
    return kind


def _until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_file_holds_no_token(folder: Path) -> None:
    """It is for its owner alone, and who reads it cannot call with what is in it."""
    text = (folder / "tokens.toml").read_text()
    assert (folder / "camera.token").read_text().strip() not in text
    assert (folder / "tokens.toml").stat().st_mode & 0o077 == 0


def test_what_cannot_be_made(folder: Path) -> None:
    """A name twice, a name that is none, no scope, a day that is none, a file that is no list of tokens."""
    for words, said in [
        (["camera", "--scope", "admin"], "has a token named camera"),
        (["a b", "--scope", "admin"], "NAME is 'a b'"),
        (["a"], "Missing option '--scope'"),
        (["a", "--scope", "root"], "'root' is not one of"),
        (["a", "--scope", "admin", "--expires", "soon"], "does not match the format"),
        (["a", "--scope", "admin", "--expires", "2001-01-01"], "has passed"),
    ]:
        failed = _token(folder, *words)
        assert (failed.returncode, said in failed.stderr) == (2, True), failed.stderr
    for text in ("no tokens", "tokens = []"):  # the second is well, and nothing can be added to it
        (folder / "tokens.toml").write_text(text)
        failed = _token(folder, "other", "--scope", "admin")
        assert (failed.returncode, "cannot be read" in failed.stderr) == (2, True)
        assert [(path.name, path.read_text()) for path in folder.glob("*tokens.toml*")] == [("tokens.toml", text)]


def test_many_at_once_and_through_a_link(folder: Path) -> None:
    """None is lost, the link stays one, and whoever could read the file still can."""
    real = folder / "tokens.toml"
    real.chmod(0o640)
    (folder / "link").mkdir()
    (folder / "link" / "tokens.toml").symlink_to(real)
    with ThreadPoolExecutor(4) as makers:
        made = makers.map(lambda index: _token(folder / "link", f"t{index}", "--scope", "classify"), range(12))
        assert [one.returncode for one in made] == [0] * 12
    assert len(read_tokens(real)) == 13
    assert (folder / "link" / "tokens.toml").is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640


def test_who_is_served(folder: Path, server: Server) -> None:
    """With the right token, and else nobody: over HTTP, gRPC and streams alike, and told so in the log."""
    token = (folder / "camera.token").read_text().strip()
    assert _kind(server, token) is None
    assert _kind(server, "") is Kind.UNAUTHENTICATED
    assert _kind(server, f"{token}x") is Kind.UNAUTHENTICATED
    words = [CNNSVC, "models", "list", "--url", server.http_url, "--token-file", folder / "camera.token"]
    refused = subprocess.run([*map(str, words)], capture_output=True, text=True)
    assert (refused.returncode, "expected one that opens admin" in refused.stderr) == (1, True)
    assert any("authorize over http failed: forbidden: token camera opens classify" in line for line in server.log)
    assert token not in "".join(server.log)


def test_a_token_is_exchanged_while_it_serves(folder: Path, server: Server) -> None:
    """The new one opens beside the old one, until that is taken away; a spoilt file changes nothing."""
    old = (folder / "camera.token").read_text().strip()
    before = (folder / "tokens.toml").read_text()
    new = _token(folder, "camera-2", "--scope", "classify").stdout.strip()
    _until(lambda: _num_told(server, "is used from now on") == 1)
    assert _kind(server, old) is _kind(server, new) is None
    both = (folder / "tokens.toml").read_text()
    (folder / "tokens.toml").write_text(both + "[[tokens]\n")
    _until(lambda: _num_told(server, "cannot be used; what was read before holds") == 1)
    assert _kind(server, old) is _kind(server, new) is None
    (folder / "tokens.toml").write_text(both.removeprefix(before))
    _until(lambda: _num_told(server, "is used from now on") == 2)
    assert _kind(server, old) is Kind.UNAUTHENTICATED
    assert _kind(server, new) is None


def _num_told(server: Server, words: str) -> int:
    return sum("the file of tokens changed and" in line and words in line for line in server.log)


def test_a_ninth_grpc_connection(folder: Path, server: Server) -> None:
    """Of eight; when one of them is closed there is room."""
    token = (folder / "camera.token").read_text().strip()
    channels = [_channel(server) for _ in range(9)]
    try:
        assert all(_can_classify(channel, token) for channel in channels[:8])
        assert not _can_classify(channels[8], token)
        channels[0].close()
        _until(lambda: _can_classify(channels[8], token))
    finally:
        for channel in channels:
            channel.close()


def _channel(server: Server) -> grpc.Channel:
    """With a connection of its own, which channels to one address else share."""
    return grpc.insecure_channel(server.grpc_address, [("grpc.use_local_subchannel_pool", 1)])


def _can_classify(channel: grpc.Channel, token: str) -> bool:
    call: Any = pb_grpc.ClassifierStub(channel).Classify
    try:
        call(pb.ClassifyRequest(images=[IMAGE]), timeout=5, metadata=[("authorization", f"Bearer {token}")])
    except grpc.RpcError:
        return False
    return True


def test_the_audit_log_names_who_called(folder: Path) -> None:
    """Of each door and of a stream, by the token's name; who was refused has none."""
    log = folder / "audit.jsonl"
    options = ["--tokens-file", folder / "tokens.toml", "--engine", "openvino", "--audit-log", log]
    with serving("--models-dir", folder / "models", *options) as server:
        assert _kind(server, (folder / "camera.token").read_text().strip()) is None
        assert _kind(server, "unknown") is Kind.UNAUTHENTICATED
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    found = {(line["protocol"], line["method"], line["code"], line["caller"]) for line in lines}
    assert found >= {
        ("http", "classify", "ok", "camera"),
        ("grpc", "classify", "ok", "camera"),
        ("grpc", "classify_stream", "ok", "camera"),
        ("http", "authorize", "unauthenticated", ""),
        ("grpc", "authorize", "unauthenticated", ""),
    }
