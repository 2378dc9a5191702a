"""A load driven against callers that answer as a test tells them."""

import asyncio

import pytest

from cnnsvc.classification import Timings
from cnnsvc.errors import InvalidError
from cnnsvc.load.call import Answer, Failure, Outcome, Query
from cnnsvc.load.drive import drive, measure
from cnnsvc.load.schedule import Plan
from cnnsvc.load.target import read_target

_ANSWER = Answer("flowers", 1, Timings(1.0, 2.0, 3.0, 7.0))


class _FakeCaller:
    def __init__(self, seconds: float, outcome: Outcome = _ANSWER) -> None:
        self._seconds = seconds
        self._outcome = outcome
        self.places: list[int] = []

    async def ask(self, place: int) -> Outcome:
        self.places.append(place)
        await asyncio.sleep(self._seconds)
        return self._outcome

    async def close(self) -> None:
        pass


async def test_every_image_in_turn() -> None:
    """All tasks together go through the images round and round, as many requests as asked for."""
    callers = [_FakeCaller(0.001), _FakeCaller(0.001)]
    found = await drive(Plan(2, duration_seconds=60, max_requests=7), callers, num_images=3)
    assert (found.concurrency, found.num_answered, found.num_failed) == (2, 7, 0)
    assert sorted(callers[0].places + callers[1].places) == [0, 0, 0, 1, 1, 2, 2]
    assert found.seconds < 10


async def test_closed_and_open_loop_see_a_slow_server_differently() -> None:
    """With a rate, waiting for a task is part of the latency; without one, the next request is only sent later."""
    closed = await drive(Plan(1, duration_seconds=0.3), [_FakeCaller(0.02)], num_images=1)
    opened = await drive(Plan(1, duration_seconds=0.3, rate_per_second=200), [_FakeCaller(0.02)], num_images=1)
    assert closed.latency_ms is not None
    assert opened.latency_ms is not None
    assert opened.latency_ms.max > 100 > closed.latency_ms.p50 >= 19
    assert opened.num_answered + opened.num_unsent == 60
    assert opened.num_unsent > 20
    assert closed.num_unsent == 0


async def test_a_server_that_is_gone_is_not_asked_without_pause() -> None:
    """Refused connections are a few failures, not thousands."""
    caller = _FakeCaller(0, Failure("no answer", "not_ready", "gone"))
    found = await drive(Plan(1, duration_seconds=0.3), [caller], num_images=1)
    assert 1 <= found.num_failed <= 4
    assert found.num_answered == 0


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "grpc://127.0.0.1:1"])
def test_no_load_without_a_server(url: str) -> None:
    """The first request tells, and the error says what to do."""
    with pytest.raises(InvalidError, match=r"127\.0\.0\.1:1 .*; start a server with cnnsvc serve"):
        measure(read_target(url, is_stream=False), Query([b"image"]), [Plan(1, 1.0)])
