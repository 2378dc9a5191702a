"""Encrypted connections before they are made: they count, have a time, and end with the door."""

import asyncio
import contextlib
import dataclasses
import logging
import resource
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import uvloop
from starlette.types import Receive, Scope, Send

from service.certificates import http_context, read_credentials
from service.frontends.http_connection import ConnectionLimits
from tests.certificates import Authority
from tests.service.frontends.http_door import listening, open_door, stoppable, until
from tests.service.frontends.test_http_connection import LIVE, connected, read_response

pytestmark = pytest.mark.slow

TWO = ConnectionLimits(head_timeout_ms=1500, keep_alive_ms=60_000, max_connections=2)
LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
"""The service has uvloop's; the same is promised on the other."""


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing that a client does in a handshake is worth a line."""
    yield
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@dataclasses.dataclass
class Site:
    server: ssl.SSLContext
    client: ssl.SSLContext
    client_without_certificate: ssl.SSLContext

    @contextlib.asynccontextmanager
    async def asked(self, port: int) -> AsyncIterator[tuple[int, bytes]]:
        """The answer to one request, while its connection is open."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=self.client)
        try:
            writer.write(LIVE)
            yield await read_response(reader)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Who calls must show a certificate."""
    company = Authority(tmp_path, "company")
    own, caller = company.issue(), company.issue("camera")
    credentials = read_credentials(own.certificate, own.key, company.file)
    client = ssl.create_default_context(cafile=company.file)
    client.load_cert_chain(caller.certificate, caller.key)
    return Site(http_context(lambda: credentials), client, ssl.create_default_context(cafile=company.file))


@pytest.mark.slow
async def test_half_handshakes_count(site: Site) -> None:
    """Two who say nothing take two places: a third is told so; when their time is over there is room again."""
    async with listening(open_door(), TWO, site.server) as port:
        async with connected(port) as (silent, _), connected(port) as (half, half_writer):
            half_writer.write(b"\x16\x03\x01\x02\x00\x01\x00")
            async with site.asked(port) as (status, body):
                assert (status, b"2 connections are open already" in body) == (429, True)
            assert await asyncio.wait_for(silent.read(), 5) == b""
            assert await asyncio.wait_for(half.read(), 5) == b""
        async with site.asked(port) as (status, _):
            assert status == 200


async def test_who_came_first_is_not_refused_for_who_came_later(site: Site) -> None:
    """The place is taken when the connection is accepted, and not when its handshake is done."""
    async with listening(open_door(), TWO, site.server) as port:
        early, early_writer = await asyncio.open_connection("127.0.0.1", port)
        async with connected(port), site.asked(port) as (status, _):
            assert status == 429
            await early_writer.start_tls(site.client, server_hostname="127.0.0.1")
            early_writer.write(LIVE)
            assert (await read_response(early))[0] == 200
        early_writer.close()
        with contextlib.suppress(OSError):
            await early_writer.wait_closed()


async def test_a_handshake_in_drops_wins_no_time(site: Site) -> None:
    """A byte now and then does not keep a connection: the time runs from its beginning."""
    hello = _client_hello(site.client)
    limits = dataclasses.replace(TWO, head_timeout_ms=300)
    async with listening(open_door(), limits, site.server) as port, connected(port) as (reader, writer):
        started = time.monotonic()
        end = asyncio.create_task(reader.read())
        for byte in hello:
            if end.done():
                break
            writer.write(bytes([byte]))
            await asyncio.sleep(0.02)
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(end, 5) == b""
        assert 0.2 < time.monotonic() - started < 3


def _client_hello(context: ssl.SSLContext) -> bytes:
    """What a client says first: some hundred bytes."""
    outgoing = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="127.0.0.1").do_handshake()
    return outgoing.read()


async def test_a_handshake_that_fails_gives_its_place_back(site: Site) -> None:
    """Plain words, a caller without a certificate, and those who leave or reset in the middle of it."""
    async with stoppable(open_door(), TWO, site.server) as (server, port):
        for _ in range(3):
            async with connected(port) as (reader, writer):
                writer.write(LIVE)
                with contextlib.suppress(ConnectionResetError):
                    assert b"HTTP" not in await asyncio.wait_for(reader.read(), 5)
            with pytest.raises(OSError):  # noqa: PT011  # as a reset, or as the alert
                await _ask_without_certificate(site, port)
            async with connected(port) as (_, writer):
                writer.write(_client_hello(site.client)[:50])
            with socket.create_connection(("127.0.0.1", port)) as resetting:
                resetting.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        await until(lambda: not server.server_state.connections)
        async with site.asked(port) as (status, _):
            assert status == 200


async def _ask_without_certificate(site: Site, port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=site.client_without_certificate)
    try:
        writer.write(LIVE)
        if not await reader.read():
            raise ConnectionResetError("closed")
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_the_app_sees_who_calls_and_how(site: Site) -> None:
    """The address of the caller and https stand in what an app is given."""
    door = open_door()
    seen: list[Scope] = []

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)
        await door.app(scope, receive, send)

    async with listening(dataclasses.replace(door, app=watched), tls=site.server) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=site.client)
        writer.write(LIVE)
        assert await read_response(reader) == (200, b"ok")
        assert seen[0]["scheme"] == "https"
        assert seen[0]["client"] == writer.get_extra_info("sockname")
        assert seen[0]["server"] == ("127.0.0.1", port)
        writer.close()
        await writer.wait_closed()


async def test_what_comes_with_the_end_of_the_handshake_is_read(site: Site) -> None:
    """A client that sends its request behind its last word of the handshake, in one piece, is answered."""
    async with listening(open_door(), tls=site.server) as port, connected(port) as (reader, writer):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = site.client.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                writer.write(outgoing.read())
                incoming.write(await asyncio.wait_for(reader.read(65536), 5))
        client.write(LIVE)
        writer.write(outgoing.read())
        incoming.write(await asyncio.wait_for(reader.read(65536), 5))
        assert client.read(15) == b"HTTP/1.1 200 OK"


async def test_the_end_does_not_wait_for_handshakes(site: Site) -> None:
    """One that is not done when the door closes is ended, long before its own time and the door's."""
    limits = dataclasses.replace(TWO, head_timeout_ms=30_000)
    async with stoppable(open_door(), limits, site.server) as (server, port), connected(port) as (reader, writer):
        writer.write(_client_hello(site.client)[:50])
        await until(lambda: len(server.server_state.connections) == 1)
        started = time.monotonic()
        server.close(started + 10)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        await until(lambda: not server.server_state.connections)
        assert time.monotonic() < started + 2


async def test_connections_that_nobody_has_taken_yet_are_answered(site: Site) -> None:
    """Those that wait in the kernel when the server is told to stop are taken in, encrypted and answered."""
    async with stoppable(open_door(), tls=site.server) as (server, port):
        server.close(time.monotonic() + 10)
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(10)]  # the loop stands still meanwhile
        streams = await asyncio.gather(
            *[asyncio.open_connection(sock=each, ssl=site.client, server_hostname="127.0.0.1") for each in clients]
        )
        for _, writer in streams:
            writer.write(LIVE)
        for reader, writer in streams:
            assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 200")
            writer.close()


async def test_when_descriptors_run_out(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """The door says so and goes on as soon as there are some again."""
    async with listening(open_door(), tls=site.server) as port:
        with socket.create_connection(("127.0.0.1", port)):
            await asyncio.sleep(0.05)
            most, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            client = socket.socket()
            resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno() + 1, hard))
            try:
                client.connect(("127.0.0.1", port))
                await until(lambda: "cannot be accepted" in caplog.text)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            client.close()
        assert "Too many open files" in caplog.text
        caplog.clear()
        async with site.asked(port) as (status, _):
            assert status == 200
