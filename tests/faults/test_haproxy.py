"""Replicas behind HAProxy are killed and drained; and how its configuration and log are read."""

from pathlib import Path

import pytest

from bench.faults.balancer import CONFIGURATION, Logged, balancing, configure, read_log
from bench.faults.haproxy import PAUSE_MS, REPLICAS, problems, run, table
from cnnsvc.load.call import Answer, Query
from cnnsvc.load.grpc_caller import StreamCaller
from tests.bundles import write_bundle
from tests.deploy.programs import require
from tests.e2e.server import Server, serving
from tests.encoded import encode

_LOG = """\
127.0.0.1:40000 [24/Nov/2026:10:44:20.590] http http_replicas/one 0/0/0/8/8 200 512 - - ---- 8/8/0/0/0 0/0 "POST / HTTP/1.1"
127.0.0.1:40000 [24/Nov/2026:10:44:21.590] grpc grpc_replicas/two 0/0/0/9/+9 200 97 - - ---- 9/8/0/0/+1 0/0 "POST / HTTP/2.0"
127.0.0.1:40000 [24/Nov/2026:10:44:22.590] grpc grpc_replicas/one 0/0/0/-1/5 502 209 - - SH-- 9/8/0/0/0 0/0 "POST / HTTP/2.0"
[WARNING]  (4242) : Server http_replicas/one is DOWN, reason: Layer4 connection problem, info: "Connection refused"
"""  # noqa: E501


def test_the_log_is_read() -> None:
    """One entry a request: door, last replica, how it ended, whether it was sent again; other lines are none."""
    assert read_log(_LOG.splitlines()) == [
        Logged("http", "one", 200, is_whole=True, was_sent_again=False),
        Logged("grpc", "two", 200, is_whole=True, was_sent_again=True),
        Logged("grpc", "one", 502, is_whole=False, was_sent_again=False),
    ]


def test_only_addresses_are_replaced() -> None:
    """Doors, replicas and the port of their health are those of this machine; all else is what is shipped."""
    text = CONFIGURATION.read_text()
    replicas = {
        name: Server(None, f"127.0.0.1:{9000 + number}", f"http://127.0.0.1:{9100 + number}")  # type: ignore[arg-type]
        for number, name in enumerate(REPLICAS)
    }
    lines = configure(text, {"8500": "fd@3", "8501": "fd@4"}, replicas).splitlines()
    changed = [new.strip() for old, new in zip(text.splitlines(), lines, strict=True) if old != new]
    assert changed == [
        "bind fd@4",
        "bind fd@3 proto h2",
        "server one 127.0.0.1:9100",
        "server two 127.0.0.1:9101",
        "server three 127.0.0.1:9102",
        "server one 127.0.0.1:9000 proto h2 port 9100 check-proto h1",
        "server two 127.0.0.1:9001 proto h2 port 9101 check-proto h1",
        "server three 127.0.0.1:9002 proto h2 port 9102 check-proto h1",
    ]


@pytest.mark.slow
async def test_a_stream_goes_through(tmp_path: Path) -> None:
    """The first image is answered while the second has not been sent: HAProxy waits for no end of a stream."""
    haproxy = require("haproxy", "haproxy")
    with (
        serving("--bundle", write_bundle(tmp_path)) as server,
        balancing(haproxy, dict.fromkeys(REPLICAS, server), tmp_path) as balancer,
    ):
        caller = StreamCaller(balancer.grpc_address, Query([encode("JPEG")]))
        outcomes = [await caller.ask(0) for _ in range(2)]
        await caller.close()
    assert [type(outcome) for outcome in outcomes] == [Answer, Answer]


@pytest.mark.slow
def test_only_what_the_killed_replica_had_is_lost() -> None:
    """Behind a real HAProxy one replica is killed and one drained, under load over both doors."""
    rounds = [run(require("haproxy", "haproxy"), None, PAUSE_MS)]
    assert problems(rounds, PAUSE_MS) == []
    assert len(rounds[0].draining("http")) > 10
    assert table(rounds, PAUSE_MS).count("\n| ") == 2
