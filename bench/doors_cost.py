"""What TLS and a token cost a call: two servers, one in the clear and one locked, in turn; prints Markdown.

    python -m bench.doors_cost [--bundle models/NAME/VERSION] [--rounds 10] [--seconds 3]

A closed loop of 4 callers, over HTTP each with a connection of its own, over gRPC on one; a JPEG of 180 × 180 a call.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np

from bench.faults.swaps import publish
from bench.offered import Offered, offer, percentile
from bench.photographs import generated
from cnnsvc.identity import NOBODY, Identity
from cnnsvc.load.call import Caller, Query
from cnnsvc.load.grpc_caller import GrpcCaller
from cnnsvc.load.http_caller import HttpCaller, http_requests
from cnnsvc.load.schedule import Plan
from cnnsvc.load.target import read_target
from tests.certificates import Authority
from tests.e2e.server import Server, serving
from tests.encoded import encode
from tests.tokens import write_tokens

_NUM_CALLERS: Final = 4
_SIZE: Final = 180
_WARM_UP_SECONDS: Final = 0.5


@dataclass
class Measured:
    cpu_ms: list[float] = field(default_factory=list)
    """Of the server, a call, one number a round."""
    p50_ms: list[float] = field(default_factory=list)

    def add(self, load: Offered) -> None:
        answered = load.of("ok")
        if len(answered) < len(load.asked):
            raise RuntimeError(f"of {len(load.asked)} calls {len(load.asked) - len(answered)} failed")
        self.cpu_ms.append(1000 * load.server_cpu_share / load.images_per_second)
        self.p50_ms.append(percentile([each.milliseconds for each in answered], 50))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bundle", type=Path, help="default is a very small network")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=3)
    arguments = parser.parse_args()
    sys.stdout.write(table(run(arguments.bundle, arguments.rounds, arguments.seconds)))


def run(source: Path | None, num_rounds: int, seconds: float) -> dict[tuple[str, str], Measured]:
    """By protocol and state of the door, `open` or `locked`."""
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        publish(folder / "models", source)
        authority, tokens = Authority(folder, "authority"), write_tokens(folder)
        pair = authority.issue()
        locks = ("--tls-certificate", pair.certificate, "--tls-key", pair.key, "--tokens-file", tokens.tokens_file)
        identities = {"open": NOBODY, "locked": Identity(tokens.token, authority.tls())}
        models = ("--models-dir", folder / "models")
        with serving(*models) as plain, serving(*models, *locks) as locked:
            found: dict[tuple[str, str], Measured] = {}
            for _ in range(num_rounds):
                for protocol in ("http", "grpc"):
                    for state, server in (("open", plain), ("locked", locked)):
                        load = _load(server, protocol, identities[state], seconds)
                        found.setdefault((protocol, state), Measured()).add(load)
            return found


def table(found: dict[tuple[str, str], Measured]) -> str:
    lines = ["| protocol | door | CPU of the server a call, ms | p50 ms |", "|---|---|---:|---:|"]
    for (protocol, state), measured in found.items():
        lines.append(f"| {protocol} | {state} | {median(measured.cpu_ms):.3f} | {median(measured.p50_ms):.2f} |")
    for protocol in ("http", "grpc"):
        ratios = np.array(found[protocol, "locked"].cpu_ms) / np.array(found[protocol, "open"].cpu_ms)
        lines.append(f"\n{protocol}, CPU of locked to open: median of the rounds {np.median(ratios):.3f}")
    return "\n".join(lines) + "\n"


def _load(server: Server, protocol: str, identity: Identity, seconds: float) -> Offered:
    image = encode("JPEG", np.asarray(generated(0).resize((_SIZE, _SIZE))))
    query = Query([image], identity=identity)
    plan = Plan(_NUM_CALLERS, seconds, _WARM_UP_SECONDS)
    return offer(plan, _callers(server, protocol, query), 1, server.process.pid)


def _callers(server: Server, protocol: str, query: Query) -> Callable[[], Sequence[Caller]]:
    if protocol == "grpc":
        # Certificates name 127.0.0.1, as the address does.
        return lambda: [GrpcCaller(server.grpc_address, query)] * _NUM_CALLERS
    target = read_target(server.http_url, is_stream=False)
    requests, tls = http_requests(target, query), query.identity.ssl_context()
    return lambda: [HttpCaller(target, requests, query.timeout_ms, tls) for _ in range(_NUM_CALLERS)]


if __name__ == "__main__":
    main()
