"""Good calls over both doors, each answer compared with the first one, nothing tried again: who must notice nothing."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import grpc
import msgspec

from bench.offered import Offered, offer, percentile
from cnnsvc.classification import ScoredClass, Timings
from cnnsvc.client import Client
from cnnsvc.client_channel import CHANNEL_OPTIONS
from cnnsvc.errors import Kind
from cnnsvc.load.call import NO_ANSWER, Answer, Caller, Failure, Outcome, Query
from cnnsvc.load.http_caller import http_requests, outcome_of
from cnnsvc.load.http_connection import BrokenAnswerError, Connection, UnansweredError
from cnnsvc.load.schedule import Plan
from cnnsvc.load.target import Target, read_target
from cnnsvc.pb import classifier_pb2 as pb
from cnnsvc.pb import classifier_pb2_grpc as pb_grpc
from tests.e2e.server import Server
from tests.encoded import encode

WRONG: Final = "wrong"
"""The kind of an answer with other classes or scores."""

_NUM_IMAGES: Final = 3
_TIMEOUT_MS: Final = 30_000
_OPTIONS: Final = [*CHANNEL_OPTIONS, ("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]

Classes = tuple[ScoredClass, ...]


class _Class(msgspec.Struct):
    name: str
    score: float


class _Result(msgspec.Struct):
    classes: list[_Class]


class _Body(msgspec.Struct):
    results: list[_Result]


class GoodCalls:
    """Asks the server for the right answers first."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._images = [encode("JPEG", seed=seed) for seed in range(_NUM_IMAGES)]
        with Client(server.grpc_address) as client:
            self._expected = [client.classify(image).classes for image in self._images]

    def offer(self, plan: Plan, *, num_http: int, num_channels: int) -> Offered:
        """By as many HTTP connections and gRPC channels, which take turns; the plan's concurrency must be their sum."""
        assert plan.concurrency == num_http + num_channels
        return offer(plan, lambda: self._callers(num_http, num_channels), len(self._images), self._server.process.pid)

    def _callers(self, num_http: int, num_channels: int) -> list[Caller]:
        query = Query(self._images, timeout_ms=_TIMEOUT_MS)
        target = read_target(self._server.http_url, is_stream=False)
        http = [_HttpCaller(target, http_requests(target, query), self._expected) for _ in range(num_http)]
        channels = [_GrpcCaller(self._server.grpc_address, query, self._expected) for _ in range(num_channels)]
        return [*http, *channels]


def failures(load: Offered) -> list[str]:
    """Why calls have no right answer."""
    return [f"{each.outcome.kind}: {each.outcome.message}" for each in load.asked if isinstance(each.outcome, Failure)]


def p99_ms(load: Offered) -> float:
    return percentile([each.milliseconds for each in load.of("ok")], 99)


class _HttpCaller:
    def __init__(self, target: Target, requests: Sequence[bytes], expected: Sequence[Classes]) -> None:
        self._target = target
        self._requests = requests
        self._expected = expected
        self._connection: Connection | None = None

    async def ask(self, place: int) -> Outcome:
        try:
            async with asyncio.timeout(_TIMEOUT_MS / 1000):
                response = await (await self._connected()).exchange(self._requests[place])
        except (UnansweredError, BrokenAnswerError, OSError) as error:  # TimeoutError is among them
            await self.close()
            return Failure(NO_ANSWER, Kind.NOT_READY, f"over HTTP {type(error).__name__} {error}")
        outcome = outcome_of(response)
        if isinstance(outcome, Failure):
            return outcome
        (result,) = msgspec.json.decode(response.body, type=_Body).results
        found = tuple(ScoredClass(each.name, each.score) for each in result.classes)
        return outcome if found == self._expected[place] else _wrong(found)

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.abort()
            self._connection = None

    async def _connected(self) -> Connection:
        if self._connection is None or not self._connection.is_open:
            loop = asyncio.get_running_loop()
            _, self._connection = await loop.create_connection(Connection, self._target.host, self._target.port)
        return self._connection


class _GrpcCaller:
    def __init__(self, address: str, query: Query, expected: Sequence[Classes]) -> None:
        self._channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
        self._classify: Any = pb_grpc.ClassifierStub(self._channel).Classify
        self._requests = [pb.ClassifyRequest(images=[image]) for image in query.images]
        self._expected = expected

    async def ask(self, place: int) -> Outcome:
        try:
            # Without a connection it waits for one: else a channel that has lost its own fails what it is given.
            call = self._classify(self._requests[place], timeout=_TIMEOUT_MS / 1000, wait_for_ready=True)
            response = await call
        except grpc.aio.AioRpcError as error:
            return Failure(error.code().name, Kind.NOT_READY, f"over gRPC {error.code().name} {error.details()}")
        found = tuple(ScoredClass(each.name, each.score) for each in response.results[0].classes)
        if found != self._expected[place]:
            return _wrong(found)
        return Answer(response.model, response.version, Timings(0, 0, 0, 0))  # nobody here asks for them

    async def close(self) -> None:
        await self._channel.close()


def _wrong(found: Classes) -> Failure:
    return Failure("answered", WRONG, f"other classes: {found}")
