"""One system once: started, asked until it answers right, checked, loaded and ended."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import grpc
import httpx

from bench import load, process_tree
from bench.dialects import Dialect
from bench.load import Load
from bench.peer import NUM_CORES, Peer, Server, Setting, StartError, serving
from bench.photographs import LARGEST, SMALL, Size, size_name
from cnnsvc.pb import classifier_pb2 as pb
from cnnsvc.pb import classifier_pb2_grpc as pb_grpc

Figures = dict[str, float]
"""By name, such as those that the functions below make."""
CONCURRENCIES: Final = (1, 8, 32)
MAIN_CONCURRENCY: Final = 8
COLD_START: Final = "cold start, s"
MEMORY: Final = "memory, MiB"
MEMORY_LARGE: Final = "memory after large photographs, MiB"
SERVER_CPU: Final = "server CPU, s per 1000 images"
CLIENT_CPU: Final = "client CPU, s per 1000 images"

_LEAST_AGREEMENT: Final = 0.95
_GIVE_UP_SECONDS: Final = 120
_MEMORY_SECONDS: Final = 150
"""Most time for what is missing of the requests before memory is read."""


class WrongAnswersError(Exception):
    """Too many best classes differ from ours."""


@dataclass(frozen=True)
class Task:
    """What is the same for every system."""

    bundle: Path
    artifact: str
    photographs: dict[Size, list[bytes]]
    best_classes: list[str]
    """Ours, of the small photographs."""
    clearest: int
    """The small photograph that is least likely to be answered otherwise."""
    folder: Path
    """For the files of the load generators."""
    seconds: float
    num_memory_requests: int


def throughput(images: Size, concurrency: int) -> str:
    return f"images/s, {size_name(images)}, {concurrency}"


def latency(percentile: int, concurrency: int) -> str:
    return f"p{percentile} ms, {concurrency}"


def measure(peer: Peer, python: Path, setting: Setting | None, task: Task, *, with_memory: bool) -> Figures:
    """Every figure of one round. Raises StartError, WrongAnswersError or LoadError."""
    if peer.door == "loop":
        return _loads(task, lambda *load: _loop_load(task, *load), list(task.photographs), has_queue=False)
    with serving(peer, python, setting, task.bundle, peer.artifact or task.artifact) as server:
        figures = {COLD_START: _await_right_answer(server, task)}
        _check_answers(server, task)
        num_images = _load(server, task, task.photographs[SMALL], MAIN_CONCURRENCY, 1).num_images  # warms up
        figures |= _loads(task, lambda *load: _load(server, task, *load), [SMALL])
        if with_memory:
            num_images += round(sum(figures[throughput(SMALL, each)] * task.seconds for each in CONCURRENCIES))
            figures[MEMORY] = _memory_after(server, task, num_images)
        figures |= _loads(task, lambda *load: _load(server, task, *load), list(task.photographs)[1:])
        figures[MEMORY_LARGE] = process_tree.memory_mib(server.process.pid)
    return figures


def try_setting(peer: Peer, python: Path, setting: Setting, task: Task, seconds: float) -> float:
    """Images/s of the small photographs, after a second of warming up. Raises as measure does."""
    with serving(peer, python, setting, task.bundle, peer.artifact or task.artifact) as server:
        _await_right_answer(server, task)
        _load(server, task, task.photographs[SMALL], MAIN_CONCURRENCY, 1)
        return _load(server, task, task.photographs[SMALL], MAIN_CONCURRENCY, seconds).images_per_second


def _loads(
    task: Task, run: Callable[[Sequence[bytes], int, float], Load], sizes: Sequence[Size], *, has_queue: bool = True
) -> Figures:
    figures: Figures = {}
    for size in sizes:
        for concurrency in CONCURRENCIES if size == SMALL else (MAIN_CONCURRENCY,):
            done = run(task.photographs[size], concurrency, task.seconds * (2 if size == LARGEST else 1))
            figures[throughput(size, concurrency)] = done.images_per_second
            if size == SMALL and (has_queue or concurrency <= NUM_CORES):
                figures |= {latency(50, concurrency): done.p50_ms, latency(99, concurrency): done.p99_ms}
            if size == SMALL and concurrency == MAIN_CONCURRENCY:
                assert done.server_cpu_seconds is not None
                figures[SERVER_CPU] = done.server_cpu_seconds / done.num_images * 1000
                figures[CLIENT_CPU] = done.client_cpu_seconds / done.num_images * 1000
    return figures


def _load(server: Server, task: Task, photographs: Sequence[bytes], concurrency: int, seconds: float) -> Load:
    before = process_tree.cpu_seconds(server.process.pid)
    arguments = photographs, concurrency, seconds, task.folder
    try:
        if server.peer.door == "http":
            done = load.http_load(server.port, server.peer.dialect, *arguments)
        elif server.peer.door == "grpc":
            done = load.grpc_load(server.port, *arguments)
        else:
            done = load.stream_load(server.port, *arguments)
    except load.LoadError as error:
        server.check_runs()
        raise load.LoadError(f"{error}; its log ends: {server.log_end()}") from None
    return replace(done, server_cpu_seconds=process_tree.cpu_seconds(server.process.pid) - before)


def _loop_load(task: Task, photographs: Sequence[bytes], concurrency: int, seconds: float) -> Load:
    num_threads = min(concurrency, NUM_CORES)
    done = load.loop_load(task.bundle, task.artifact, photographs, num_threads, seconds, task.folder)
    return replace(done, client_cpu_seconds=0)


def _memory_after(server: Server, task: Task, num_images: int) -> float:
    started = time.monotonic()
    while num_images < task.num_memory_requests and time.monotonic() - started < _MEMORY_SECONDS:
        num_images += _load(server, task, task.photographs[SMALL], MAIN_CONCURRENCY, 10).num_images
    return process_tree.memory_mib(server.process.pid)


def _await_right_answer(server: Server, task: Task) -> float:
    """Seconds from the start of the process. Raises StartError, WrongAnswersError."""
    photograph, expected = task.photographs[SMALL][task.clearest], task.best_classes[task.clearest]
    with _asking(server) as ask:
        while (answer := ask(photograph)) is None:
            server.check_runs()
            if time.monotonic() - server.started > _GIVE_UP_SECONDS:
                raise StartError(f"no answer within {_GIVE_UP_SECONDS} s: {server.log_end()}")
            time.sleep(0.005)
    if answer != expected:
        raise WrongAnswersError(f"first answer is {answer} instead of {expected}")
    return time.monotonic() - server.started


def _check_answers(server: Server, task: Task) -> None:
    with _asking(server) as ask:
        answers = [ask(photograph) for photograph in task.photographs[SMALL]]
    num_equal = sum(answer == best for answer, best in zip(answers, task.best_classes, strict=True))
    if num_equal < _LEAST_AGREEMENT * len(answers):
        raise WrongAnswersError(f"{num_equal} of {len(answers)} best classes equal ours")


@contextlib.contextmanager
def _asking(server: Server) -> Iterator[Callable[[bytes], str | None]]:
    """A function that gives the best class of a photograph; None while the server is not there or not ready."""
    if server.peer.door == "http":
        dialect = server.peer.dialect
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=30, trust_env=False) as client:
            yield lambda photograph: _ask_http(client, dialect, photograph)
    else:
        # Its first wait before it tries again is a second by default, too coarse for a cold start.
        options = [("grpc.initial_reconnect_backoff_ms", 20), ("grpc.min_reconnect_backoff_ms", 20),
                   ("grpc.max_reconnect_backoff_ms", 20)]  # fmt: skip
        with grpc.insecure_channel(f"127.0.0.1:{server.port}", options=options) as channel:
            stub = pb_grpc.ClassifierStub(channel)
            yield lambda photograph: _ask_grpc(stub, photograph)


def _ask_http(client: httpx.Client, dialect: Dialect, photograph: bytes) -> str | None:
    request = dialect.request(photograph)
    try:
        response = client.post(dialect.path, content=request.body, headers=request.headers)
    except httpx.TransportError:
        return None
    return dialect.best_class(response.json()) if response.status_code == httpx.codes.OK else None


def _ask_grpc(stub: pb_grpc.ClassifierStub, photograph: bytes) -> str | None:
    try:
        response = stub.Classify(pb.ClassifyRequest(images=[photograph]), timeout=30)
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            return None
        raise
    return str(response.results[0].classes[0].name)
