"""Both doors encrypt, know their callers by certificates, and take new certificates while they serve."""

import contextlib
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from cnnsvc.client import Client
from cnnsvc.errors import CnnsvcError, Kind, NotReadyError
from cnnsvc.identity import Identity, Tls
from tests.bundles import write_bundle
from tests.certificates import Authority, Pair, encrypted, replace
from tests.e2e.server import CNNSVC, Server, serving
from tests.encoded import encode

pytestmark = pytest.mark.slow

IMAGE = encode("PNG")
HEAD_TIMEOUT_MS = 1500


@dataclass
class Site:
    folder: Path
    company: Authority
    stranger: Authority
    server: Pair

    def flags(self, *more: object) -> list[object]:
        own = ["--tls-certificate", self.server.certificate, "--tls-key", self.server.key]
        return [*own, "--models-dir", self.folder / "models", "--engine", "openvino", *more]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    write_bundle(tmp_path / "models")
    company, stranger = Authority(tmp_path, "company"), Authority(tmp_path, "stranger")
    return Site(tmp_path, company, stranger, company.issue())


def _over_grpc(server: Server, tls: Tls | None) -> str:
    """The best class. Raises CnnsvcError."""
    with Client(server.grpc_address, timeout_ms=4_000, tls=tls) as client:
        return client.classify(IMAGE).best.name


def _over_http(url: str, tls: Tls, path: str = "/api/v1/classify") -> httpx.Response:
    """Raises httpx.TransportError."""
    context = Identity(tls=tls).ssl_context()
    assert context
    with httpx.Client(verify=context) as client:
        return client.post(f"{url}{path}", content=IMAGE) if "classify" in path else client.get(f"{url}{path}")


def _refuses(server: Server, tls: Tls) -> bool:
    """On both doors."""
    with pytest.raises(httpx.TransportError):
        _over_http(server.http_url, tls)
    with pytest.raises(NotReadyError):
        _over_grpc(server, tls)
    return True


def _serves(server: Server, tls: Tls) -> bool:
    return _over_http(server.http_url, tls).status_code == 200 and bool(_over_grpc(server, tls))


def _until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _serial(address: str) -> object:
    """Of the certificate that a door shows."""
    host, _, port = address.removeprefix("https://").rpartition(":")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((host, int(port))) as plain, context.wrap_socket(plain) as encrypted:
        return encrypted.getpeercert(binary_form=True)


def test_both_doors_speak_tls_alone(site: Site) -> None:
    """Who trusts the authority is served; plain words, another authority's trust and a slow hand get nothing."""
    with serving(*site.flags("--http-head-timeout-ms", HEAD_TIMEOUT_MS)) as server:
        assert server.http_url.startswith("https://")
        assert _serves(server, site.company.tls())
        assert _refuses(server, site.stranger.tls())
        with pytest.raises(NotReadyError):
            _over_grpc(server, None)
        with pytest.raises(httpx.TransportError):
            httpx.get(server.http_url.replace("https", "http") + "/livez")
        answer = _over_http(server.http_url, site.company.tls(), "/livez")
        assert answer.headers["strict-transport-security"]
        _assert_closed_by_the_server(server.http_url)
        environment = f"CNNSVC_TLS_CERTIFICATE={site.server.certificate}"
        port = server.http_url.rpartition(":")[2]
        asked = subprocess.run(
            ["env", environment, CNNSVC, "health", "--http-port", port], capture_output=True, text=True
        )
        assert (asked.returncode, asked.stdout) == (0, "ready\n"), asked.stderr
    assert not [line for line in server.log if " ERROR " in line or "Traceback" in line]


def _assert_closed_by_the_server(http_url: str) -> None:
    """A connection that begins no handshake, and one that stops in the middle of it."""
    port = int(http_url.rpartition(":")[2])
    for sent in (b"", b"\x16\x03\x01\x02\x00\x01\x00"):
        with socket.create_connection(("127.0.0.1", port), timeout=HEAD_TIMEOUT_MS / 1000 + 5) as slow:
            slow.sendall(sent)
            with contextlib.suppress(ConnectionResetError):
                assert slow.recv(100) == b""


def test_new_certificates_without_a_restart(site: Site) -> None:
    """Both doors show the new one soon; a pair that is none changes nothing and is told; a call never fails."""
    with serving(*site.flags()) as server:
        first = _serial(server.http_url)
        assert _serial(server.grpc_address) == first
        newer = site.company.issue(days=40)
        replace(site.server.certificate, newer.certificate)
        _until(lambda: _metric(server, site, 'cnnsvc_file_refused{file="certificates"}') == 1)
        assert _serial(server.http_url) == _serial(server.grpc_address) == first
        assert _serves(server, site.company.tls())
        replace(site.server.key, newer.key)
        _until(lambda: _serial(server.http_url) != first)
        assert _serial(server.http_url) == _serial(server.grpc_address)
        assert _serves(server, site.company.tls())
        assert _metric(server, site, 'cnnsvc_file_refused{file="certificates"}') == 0
        expiry = _metric(server, site, 'cnnsvc_tls_certificate_expiry_timestamp_seconds{file="certificate"}')
        assert 39 < (expiry - time.time()) / 86_400 < 41
    assert [line for line in server.log if "are no pair" in line]


def _metric(server: Server, site: Site, name: str) -> float:
    text = _over_http(server.http_url, site.company.tls(), "/metrics").text
    return float(next(line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(name)))


def test_callers_are_known_by_their_certificates(site: Site) -> None:
    """None, one of another authority and an expired one get nothing; who is trusted may change while it serves."""
    clients = Authority(site.folder, "clients")
    trusted = site.folder / "trusted.pem"
    trusted.write_bytes(clients.file.read_bytes())
    own, foreign = clients.issue("camera"), site.stranger.issue("camera")
    with serving(*site.flags("--tls-client-ca", trusted, "--metrics-port", 0)) as server:
        assert _serves(server, site.company.tls(own))
        for wrong in (None, foreign, clients.issue("camera", days=-1)):
            assert _refuses(server, site.company.tls(wrong))
        assert "cnnsvc_ready" in _over_http(server.metrics_url, site.company.tls(), "/metrics").text
        assert _over_http(server.metrics_url, site.company.tls(), "/readyz").status_code == 200
        assert _over_http(server.http_url, site.company.tls(own), "/metrics").status_code == 404
        replace(trusted, site.stranger.file)
        _until(lambda: _is_served_over_http(server, site.company.tls(foreign)))
        assert _over_grpc(server, site.company.tls(foreign))
        assert _refuses(server, site.company.tls(own))


def _is_served_over_http(server: Server, tls: Tls) -> bool:
    try:
        return _over_http(server.http_url, tls).status_code == 200
    except httpx.TransportError:
        return False


def test_what_cannot_be_used_at_the_start(site: Site) -> None:
    """The service does not start half open: a missing file, another's key, no PEM, a certificate alone."""
    other, words = site.company.issue("other"), site.folder / "words"
    words.write_text("no certificate")
    models = ["--models-dir", site.folder / "models", "--http-port", 0, "--grpc-port", 0]
    for flags, said in [
        (["--tls-certificate", site.server.certificate], "expected --tls-certificate and --tls-key"),
        (["--tls-client-ca", site.company.file], "--tls-client-ca needs"),
        (["--tls-certificate", site.folder / "none", "--tls-key", site.server.key], "cannot be read"),
        (["--tls-certificate", words, "--tls-key", site.server.key], "holds no certificate"),
        (["--tls-certificate", site.server.certificate, "--tls-key", other.key], "are no pair"),
        (
            ["--tls-certificate", site.server.certificate, "--tls-key", site.server.key, "--tls-client-ca", words],
            "holds no certificate",
        ),
        (["--tls-certificate", site.server.certificate, "--tls-key", encrypted(site.server)], "is encrypted"),
    ]:
        command = [*map(str, [CNNSVC, "serve", *models, *flags])]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert (ended.returncode, said in ended.stderr) == (2, True), (flags, ended.stderr)


def test_a_stop_loses_no_call(site: Site) -> None:
    """Encrypted connections cannot be told beforehand; what gRPC drops at the stop our clients ask for again.

    Each caller's last word is that nobody is there any more, and not that its call was dropped.
    """
    with serving(*site.flags()) as server:
        with ThreadPoolExecutor(16) as callers:
            last_words = [callers.submit(_last_words, server, site.company.tls()) for _ in range(16)]
            time.sleep(1)
            server.process.terminate()
        assert server.process.wait(timeout=30) == 0
    assert {word.result() for word in last_words} == {Kind.NOT_READY}


def _last_words(server: Server, tls: Tls) -> Kind:
    """Calls until one fails: its kind."""
    with Client(server.grpc_address, tls=tls) as client:
        while True:
            try:
                client.classify(IMAGE)
            except CnnsvcError as error:
                return error.kind
