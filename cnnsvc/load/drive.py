"""Drives a load: tasks that ask one image after the other, for each plan in turn."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Final

import uvloop

from cnnsvc.errors import InvalidError, Kind
from cnnsvc.load.call import Answer, Caller, Failure, Query
from cnnsvc.load.record import Measurement, Record
from cnnsvc.load.schedule import Plan, Schedule, schedule_of, window_of
from cnnsvc.load.target import Target

# A server that is gone refuses connections by the ten thousand a second.
_PAUSE_SECONDS: Final = 0.1


def measure(
    target: Target, query: Query, plans: Sequence[Plan], before: Callable[[Plan], None] = lambda plan: None
) -> tuple[Answer, list[Measurement]]:
    """A first answer, and the figures of each plan; `before` is told of each.

    Raises InvalidError where the first call fails: no server, one that is not ready, or a query that it refuses.
    """

    async def run() -> tuple[Answer, list[Measurement]]:
        first = await _first_answer(target, query)
        measurements = []
        for plan in plans:
            before(plan)
            async with _callers(target, query, plan.concurrency) as callers:
                measurements.append(await drive(plan, callers, len(query.images)))
        return first, measurements

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


async def drive(plan: Plan, callers: Sequence[Caller], num_images: int) -> Measurement:
    """The figures of one plan; every image in turn."""
    places = itertools.cycle(range(num_images))
    record = Record()
    cpu_before, started = time.process_time(), time.perf_counter()
    window = window_of(plan, started)
    schedule = schedule_of(plan, window)
    try:
        async with asyncio.TaskGroup() as group:
            for caller in callers:
                group.create_task(_ask(caller, schedule, places, record))
    finally:
        schedule.close()
    record.cpu_seconds = time.process_time() - cpu_before
    record.wall_seconds = time.perf_counter() - started
    record.num_unsent = schedule.num_unsent
    return record.measurement(plan, window)


async def _ask(caller: Caller, schedule: Schedule, places: Iterator[int], record: Record) -> None:
    while (start := await schedule.next_start()) is not None:
        outcome = await caller.ask(next(places))
        record.add(start, time.perf_counter(), outcome)
        if isinstance(outcome, Failure) and outcome.kind == Kind.NOT_READY:
            await asyncio.sleep(_PAUSE_SECONDS)


async def _first_answer(target: Target, query: Query) -> Answer:
    async with _callers(target, query, 1) as (caller,):
        outcome = await caller.ask(0)
    if isinstance(outcome, Answer):
        return outcome
    if outcome.kind == Kind.NOT_READY:
        raise InvalidError(f"{outcome.message}; start a server with cnnsvc serve, or give the URL of one that is ready")
    raise InvalidError(f"a first request failed: {outcome.message}")


@contextlib.asynccontextmanager
async def _callers(target: Target, query: Query, concurrency: int) -> AsyncIterator[list[Caller]]:
    """One for each task: with HTTP a connection of its own, else the same for all."""
    callers: list[Caller]
    if target.protocol == "http":
        from cnnsvc.load.http_caller import HttpCaller, http_requests

        requests, tls = http_requests(target, query), query.identity.ssl_context()
        callers = [HttpCaller(target, requests, query.timeout_ms, tls) for _ in range(concurrency)]
    else:
        from cnnsvc.load.grpc_caller import GrpcCaller, StreamCaller

        caller = (StreamCaller if target.protocol == "stream" else GrpcCaller)(target.address, query)
        callers = [caller] * concurrency
    try:
        yield callers
    finally:
        for each in dict.fromkeys(callers):
            await each.close()
