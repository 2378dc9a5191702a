"""What it costs to have images inferred by another server: one in front of it beside one that infers; prints Markdown.

    python -m bench.upstream BUNDLE [--rounds 6] [--seconds 3] [--callers 4]

Both serve the same bundle, and take turns. The upstream is a gRPC server in a process of its own which infers with
the same engine, in either dialect; the callers are as in bench.doors_cost, over gRPC.
"""

import argparse
import contextlib
import multiprocessing
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np

from bench.doors_cost import Measured
from bench.faults.swaps import publish
from bench.offered import offer
from bench.photographs import generated
from cnnsvc.bundle import open_bundle
from cnnsvc.engines.load import load_engine
from cnnsvc.load.call import Caller, Query
from cnnsvc.load.grpc_caller import GrpcCaller
from cnnsvc.load.schedule import Plan
from tests.cnnsvc.engines.upstreams import OIP, TFS, Upstream
from tests.e2e.server import serving
from tests.encoded import encode

_SIZE: Final = 180
_WARM_UP_SECONDS: Final = 0.5
_ARTIFACT: Final = "model.onnx"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--callers", type=int, default=4)
    arguments = parser.parse_args()
    sys.stdout.write(_table(run(arguments.bundle, arguments.rounds, arguments.seconds, arguments.callers)))


def run(source: Path, num_rounds: int, seconds: float, num_callers: int) -> dict[str, Measured]:
    """By where images are inferred."""
    image = encode("JPEG", np.asarray(generated(0).resize((_SIZE, _SIZE))))
    with tempfile.TemporaryDirectory() as work, contextlib.ExitStack() as stack:
        models = Path(work) / "models"
        publish(models, source)
        (bundle,) = models.glob("*/*/")
        common = ["--models-dir", models, "--artifact", _ARTIFACT]
        servers = {"here": stack.enter_context(serving(*common, "--engine", "openvino", "--num-streams", 1))}
        url = stack.enter_context(_upstream(bundle))
        for dialect in (TFS, OIP):
            remote = ["--engine", "remote", "--upstream", url, "--upstream-dialect", dialect]
            servers[f"remote, {dialect}"] = stack.enter_context(serving(*common, *remote))
        found: dict[str, Measured] = {}
        for _ in range(num_rounds):
            for name, server in servers.items():
                plan = Plan(num_callers, seconds, _WARM_UP_SECONDS)
                callers = _callers(server.grpc_address, Query([image]), num_callers)
                found.setdefault(name, Measured()).add(offer(plan, callers, 1, server.process.pid))
        return found


def _callers(address: str, query: Query, num_callers: int) -> Callable[[], Sequence[Caller]]:
    return lambda: [GrpcCaller(address, query)] * num_callers


@contextlib.contextmanager
def _upstream(bundle: Path) -> Iterator[str]:
    """Its URL."""
    ours, its = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(bundle, its))
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send(None)
        process.join(20)


def _serve(path: Path, pipe: Connection) -> None:
    bundle = open_bundle(path)
    upstream = Upstream.of(bundle, load_engine("openvino", bundle, _ARTIFACT, num_threads=1))
    upstream.model, upstream.versions = bundle.manifest.name, [bundle.manifest.version]
    with upstream.running(TFS, OIP):
        pipe.send(upstream.url)
        pipe.recv()


def _table(found: dict[str, Measured]) -> str:
    lines = ["| inferred | CPU of the server a call, ms | p50 ms |", "|---|---:|---:|"]
    for name, measured in found.items():
        lines.append(f"| {name} | {median(measured.cpu_ms):.2f} | {median(measured.p50_ms):.2f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
