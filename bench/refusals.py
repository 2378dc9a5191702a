"""What it costs a real server to refuse a call as overloaded, over HTTP and gRPC, as a Markdown table.

    python -m bench.refusals [--sizes 180x180,1440x1080] [--seconds 5]

All room is held by one body that never ends, as a slow client's, so that every call is refused. Ends with 1 where one
is not.
"""

import argparse
import contextlib
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from bench.offered import Offered, offer, percentile
from bench.table import format_number
from cnnsvc.load.call import Caller, Query
from cnnsvc.load.grpc_caller import GrpcCaller
from cnnsvc.load.http_caller import HttpCaller, http_requests
from cnnsvc.load.images import make_images
from cnnsvc.load.schedule import Plan
from cnnsvc.load.target import Target, read_target
from tests.bundles import write_bundle
from tests.e2e.server import Server, serving

_LIMIT_BYTES: Final = 4 * 1024 * 1024
_TIMEOUT_MS: Final = 600_000
_NUM_CALLERS: Final = 8


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", default="180x180,1440x1080", help="of the JPEGs that are sent, in pixels")
    parser.add_argument("--seconds", type=float, default=5)
    arguments = parser.parse_args()
    rows = list(run(arguments.sizes.split(","), arguments.seconds))
    sys.stdout.write(table(rows))
    sys.exit(any(len(load.refused) < len(load.asked) for _, _, load in rows))


def run(sizes: Sequence[str], seconds: float) -> Iterator[tuple[str, int, Offered]]:
    """For each protocol and size: its name, the bytes of an image in the mean, and what came of the load."""
    with tempfile.TemporaryDirectory() as models_dir:
        limits = ("--queue-limit-bytes", _LIMIT_BYTES, "--body-limit-bytes", _LIMIT_BYTES)
        bundle = write_bundle(Path(models_dir))
        with (
            serving("--bundle", bundle, *limits, "--request-timeout-ms", _TIMEOUT_MS) as server,
            full(server),
        ):
            for size in sizes:
                query = Query(make_images(size).images)
                num_bytes = sum(map(len, query.images)) // len(query.images)
                for protocol in ("HTTP", "gRPC"):
                    yield protocol, num_bytes, _load(server, protocol, query, seconds)


def table(rows: Sequence[tuple[str, int, Offered]]) -> str:
    lines = [
        "| over | image | refused/s | p50 / p99 ms | server CPU a refusal | client's |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for protocol, num_bytes, load in rows:
        per_second = len(load.refused) / load.seconds
        times = [each.milliseconds for each in load.refused]
        server_ms, client_ms = (1000 * cores / per_second for cores in (load.server_cpu_share, load.client_cpu_share))
        lines.append(
            f"| {protocol} | {num_bytes / 1000:,.1f} KB | {format_number(per_second)} |"
            f" {format_number(percentile(times, 50))} / {format_number(percentile(times, 99))} |"
            f" {server_ms:.3f} ms | {client_ms:.3f} ms |"
        )
    return "\n".join(lines) + "\n"


@contextlib.contextmanager
def full(server: Server) -> Iterator[None]:
    """Holds all but one byte of what the server may hold."""
    target = read_target(server.http_url, is_stream=False)
    head = f"POST /api/v1/classify HTTP/1.1\r\nHost: {target.address}\r\nContent-Length: {_LIMIT_BYTES}\r\n\r\n"
    with socket.create_connection((target.host, target.port)) as connection:
        connection.sendall(head.encode("ascii") + bytes(_LIMIT_BYTES - 1))
        yield


def _load(server: Server, protocol: str, query: Query, seconds: float) -> Offered:
    target = read_target(server.http_url, is_stream=False)

    def make_callers() -> list[Caller]:
        if protocol == "HTTP":
            return _http_callers(target, query)
        return [GrpcCaller(server.grpc_address, query)] * _NUM_CALLERS

    plan = Plan(_NUM_CALLERS, seconds, warm_up_seconds=0.5)
    return offer(plan, make_callers, len(query.images), server.process.pid)


def _http_callers(target: Target, query: Query) -> list[Caller]:
    requests = http_requests(target, query)
    return [HttpCaller(target, requests, query.timeout_ms) for _ in range(_NUM_CALLERS)]


if __name__ == "__main__":
    main()
